"""Two sources made one start: each keeps a side, and the seam goes where they are alike."""

import torch

from models.generation.splicing import partner_of, spliced


def surface(seed: int) -> torch.Tensor:
    return torch.randn(4, 32, 32, generator=torch.Generator().manual_seed(seed))


def test_each_source_keeps_a_side_and_the_share_of_neither_is_small() -> None:
    first, second = surface(1), surface(2)
    second += first.mean(dim=(1, 2), keepdim=True) - second.mean(dim=(1, 2), keepdim=True)
    shares = []
    for index in range(40):
        start = spliced(first, second, seed=3, index=index)
        of_first = torch.isclose(start, first).all(dim=0)
        of_second = torch.isclose(start, second, atol=1e-5).all(dim=0)
        assert not (of_first & of_second).any()
        assert float((of_first | of_second).float().mean()) > 0.85  # the rest is the seam
        shares.append(float(of_first.float().mean()))
    assert min(shares) > 0.15 and max(shares) < 0.85
    assert abs(sum(shares) / len(shares) - 0.5) < 0.1


def test_the_seam_goes_around_a_shape_that_only_one_source_has() -> None:
    """The shape stands across the middle, where a straight cut would halve it."""
    ground = torch.zeros(1, 32, 32)
    shape = ground.clone()
    shape[:, 12:20, 14:21] = 1.0
    for index in range(40):
        inside = spliced(shape, ground, seed=5, index=index)[:, 13:19, 15:20]
        assert float(inside.max() - inside.min()) < 0.05


def test_no_step_of_light_is_left_along_the_seam() -> None:
    dark, bright = surface(1) * 0.1 - 2.0, surface(2) * 0.1 + 2.0
    start = spliced(dark, bright, seed=0, index=0)
    assert float(start.std()) < 0.2 and abs(float(start.mean()) + 2.0) < 0.05


def test_the_partner_is_any_other_source_and_each_as_likely() -> None:
    drawn = [partner_of(index, 2, 5, seed=1) for index in range(400)]
    assert set(drawn) == {0, 1, 3, 4}
    assert all(70 <= drawn.count(one) <= 130 for one in set(drawn))
