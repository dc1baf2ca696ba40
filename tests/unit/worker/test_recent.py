"""What is computed of real images is computed once, as long as there is room to keep it."""

from worker.recent import Recent


def test_a_value_is_made_once_and_the_least_recently_used_goes() -> None:
    made: list[str] = []
    recent: Recent[bytes] = Recent(max_bytes=5, bytes_of=len)

    def get(name: str, size: int) -> bytes:
        return recent.get(name, lambda: made.append(name) or bytes(size))  # type: ignore[func-returns-value]

    for name, size in (("a", 2), ("b", 2), ("a", 2), ("c", 3), ("a", 2), ("b", 2)):
        assert len(get(name, size)) == size
    assert made == ["a", "b", "c", "b"]


def test_what_is_larger_than_the_room_is_made_every_time_and_drives_nothing_out() -> None:
    recent: Recent[bytes] = Recent(max_bytes=5, bytes_of=len)
    kept = recent.get("kept", lambda: bytes(3))
    assert recent.get("large", lambda: bytes(6)) is not recent.get("large", lambda: bytes(6))
    assert recent.get("kept", lambda: bytes(3)) is kept
