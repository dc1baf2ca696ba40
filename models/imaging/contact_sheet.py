"""One picture for the eye: real images above synthetic ones, in equal cells."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from models.errors import DatasetUnusable
from models.imaging.arrays import eight_bit
from models.imaging.fit import resized

_PAPER, _CELL, _INK, _MUTED = (250, 250, 248), (236, 236, 233), (28, 30, 34), (112, 116, 122)
_REAL, _SYNTHETIC = (42, 110, 92), (38, 92, 168)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class SheetStyle:
    """Sizes of the sheet; captions scale with the cell."""

    columns: int = 8
    cell_px: int = 160
    gap_px: int = 8
    margin_px: int = 28
    max_real_rows: int = 1
    max_synthetic_rows: int = 3


@dataclass(frozen=True)
class _Block:
    caption: str
    images: Sequence[Image.Image]
    total: int
    colour: tuple[int, int, int]


def contact_sheet(
    real: Sequence[Image.Image],
    synthetic: Sequence[Image.Image],
    title: str,
    subtitle: str = "",
    style: SheetStyle = SheetStyle(),
) -> Image.Image:
    """An RGB sheet: title, rows of ``real``, rows of ``synthetic``; what does not fit is counted in the caption.

    Pictures of any size and mode are fitted into equal cells, whole and undistorted. Raises `DatasetUnusable` when
    there is nothing to show.
    """
    blocks = [
        _block("Real", real, style.max_real_rows, _REAL, style),
        _block("Synthetic", synthetic, style.max_synthetic_rows, _SYNTHETIC, style),
    ]
    blocks = [block for block in blocks if block.images]
    if not blocks:
        raise DatasetUnusable("A contact sheet of no images was asked for.", remedy="Give at least one image.")
    columns = min(style.columns, max(4, *(len(block.images) for block in blocks)))
    return _drawn(blocks, title, subtitle, columns, style)


def _block(
    caption: str, images: Sequence[Image.Image], max_rows: int, colour: tuple[int, int, int], style: SheetStyle
) -> _Block:
    return _Block(caption, images[: max_rows * style.columns], len(images), colour)


def _drawn(blocks: list[_Block], title: str, subtitle: str, columns: int, style: SheetStyle) -> Image.Image:
    pitch = style.cell_px + style.gap_px
    title_px, caption_px = max(14, style.cell_px // 6), max(11, style.cell_px // 9)
    header = round(title_px * 1.6) + (round(caption_px * 1.5) if subtitle else 0)
    block_px = [round(caption_px * 2.1) + _rows(block, columns) * pitch for block in blocks]
    width = 2 * style.margin_px + columns * pitch - style.gap_px
    height = 2 * style.margin_px + header + sum(block_px) + (len(blocks) - 1) * caption_px - style.gap_px
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    x, y = style.margin_px, style.margin_px
    draw.text((x, y), _shortened(draw, title, title_px, width - 2 * x), fill=_INK, font=_font(title_px))
    if subtitle:
        text = _shortened(draw, subtitle, caption_px, width - 2 * x)
        draw.text((x, y + round(title_px * 1.4)), text, fill=_MUTED, font=_font(caption_px))
    y += header
    for block, block_height in zip(blocks, block_px, strict=True):
        _draw_caption(draw, block, x, y, caption_px)
        _paste_cells(sheet, block, (x, y + round(caption_px * 2.1)), columns, style)
        y += block_height + caption_px
    return sheet


def _rows(block: _Block, columns: int) -> int:
    return -(-len(block.images) // columns)


def _draw_caption(draw: ImageDraw.ImageDraw, block: _Block, x: int, y: int, size_px: int) -> None:
    shown = len(block.images)
    count = str(shown) if shown == block.total else f"{shown} of {block.total}"
    middle = y + size_px
    draw.rectangle((x, middle - size_px // 2, x + size_px // 4, middle + size_px // 2), fill=block.colour)
    start = x + round(size_px * 0.7)
    draw.text((start, middle), block.caption, fill=block.colour, font=_font(size_px), anchor="lm")
    start += round(draw.textlength(block.caption, font=_font(size_px)) + size_px * 0.6)
    draw.text((start, middle), count, fill=_MUTED, font=_font(size_px), anchor="lm")


def _paste_cells(sheet: Image.Image, block: _Block, origin: tuple[int, int], columns: int, style: SheetStyle) -> None:
    pitch, side = style.cell_px + style.gap_px, style.cell_px
    for index, image in enumerate(block.images):
        left, top = origin[0] + index % columns * pitch, origin[1] + index // columns * pitch
        thumbnail = _thumbnail(image, side)
        sheet.paste(_CELL, (left, top, left + side, top + side))
        sheet.paste(thumbnail, (left + (side - thumbnail.width) // 2, top + (side - thumbnail.height) // 2))


def _thumbnail(image: Image.Image, side: int) -> Image.Image:
    scale = side / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return resized(eight_bit(image), size).convert("RGB")


def _font(size_px: int) -> Font:
    return ImageFont.load_default(size_px)


def _shortened(draw: ImageDraw.ImageDraw, text: str, size_px: int, width_px: int) -> str:
    # Pillow's own font has no glyphs for long dashes.
    text, font = text.replace("—", "-").replace("–", "-"), _font(size_px)
    if draw.textlength(text, font=font) <= width_px:
        return text
    while text and draw.textlength(text + "...", font=font) > width_px:
        text = text[:-1]
    return text + "..."
