"""What the names of pictures in folders end in; a file that is named itself may end as it likes."""

# HEIC and AVIF are not read, but somebody who has them should be told so.
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".heic", ".heif", ".avif"),
)
SHOWN_SUFFIXES = "PNG, JPEG, WebP, BMP, TIFF, GIF or PPM"
