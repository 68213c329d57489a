"""Small files that become large images."""

import functools
import struct
import zlib


@functools.cache
def webp(side):
    """A lossless WebP of one colour: 28 bytes, whatever its size."""
    # Sizes, no transform, no cache, one code; then five codes of one symbol each.
    bits = (side - 1) | (side - 1) << 14
    codes = sum(1 << (3 + 4 * i) for i in range(5))
    chunk = b"\x2f" + struct.pack("<I", bits) + codes.to_bytes(3, "little")
    body = b"WEBPVP8L" + struct.pack("<I", len(chunk)) + chunk
    return b"RIFF" + struct.pack("<I", len(body)) + body


def chunk(kind, contents):
    return struct.pack(">I", len(contents)) + kind + contents + struct.pack(">I", zlib.crc32(kind + contents))


@functools.cache
def png(width, height, color=2, depth=8, extra=b"", value=0):
    """A PNG of one value. `color` is that of the format: 0 gray, 2 RGB, 6 RGBA."""
    samples = {0: 1, 2: 3, 6: 4}[color]
    row = b"\0" + bytes([value]) * ((width * samples * depth + 7) // 8)
    squeezed = zlib.compressobj(6)
    data = b"".join(squeezed.compress(row) for _ in range(height)) + squeezed.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@functools.cache
def profile_bomb():
    """A PNG whose profile inflates to 200 MB."""
    squeezed = zlib.compressobj(9)
    data = b"".join(squeezed.compress(bytes(1 << 20)) for _ in range(200)) + squeezed.flush()
    return png(64, 64, extra=chunk(b"iCCP", b"x\0\0" + data))


@functools.cache
def jpeg(side, progressive):
    """A JPEG of one colour: a bit or two a block."""
    segment = lambda kind, contents: bytes([0xFF, kind]) + struct.pack(">H", len(contents) + 2) + contents
    tables = segment(0xDB, b"\0" + bytes([1] * 64))
    frame = struct.pack(">BHHB", 8, side, side, 3) + b"".join(bytes([i, 0x11, 0]) for i in (1, 2, 3))
    # One code each, of one bit: no difference; the end of the block.
    code = b"\x01" + bytes(15) + b"\0"
    codes = segment(0xC4, b"\x00" + code) + segment(0xC4, b"\x10" + code)
    scan = b"\x03" + b"".join(bytes([i, 0]) for i in (1, 2, 3)) + (bytes([0, 0, 0]) if progressive else bytes([0, 63, 0]))
    bits = 3 * ((side + 7) // 8) ** 2 * (1 if progressive else 2)
    data = tables + segment(0xC2 if progressive else 0xC0, frame) + codes + segment(0xDA, scan)
    return b"\xff\xd8" + data + bytes((bits + 7) // 8) + b"\xff\xd9"
