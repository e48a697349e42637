"""Mutations of inputs: arbitrary bytes, lines of text, JSON and YAML trees, compressed files."""

import gzip
import json
import pickle
import struct
import zlib
from random import Random

import yaml

NASTY = (
    "", " ", "-", "--", ".", "..", "*", "0", "-0", "-1", "+1", "1.0", "1e3", "1e309", "-1e309",
    "nan", "NaN", "inf", "-inf", "Infinity", "NA", "None", "null", "true", "1_000", "1,000",
    "0x10", "2147483648", "-2147483649", "4294967296", "9223372036854775808",
    "99999999999999999999999999", "１２", "½", "a b", " lead", "trail ", "é", "β", "日本", "\u202e",
    "\u200b", "\x00", "\x1b[31m", "\x0b", "\x1c", "\x85", "\u2028", "\ufeff", "../up", "/abs/path",
    "a/b", "a\\b", "a\tb", "a;b", "a,b", 'a"b', "'", "%s", "{0}", "$HOME", "~", "#", ">", "@", "+",
    "chr1", "chr2", "chrX", "1", "N", "n", "ACGT", "acgt", "U", "R", "X" * 3, "A" * 5000, "=", "|",
    "<DEL>", "[chr1:5[", "minus", "plus", "- ", "reverse", "\\N", "\\x41", "’",
)  # fmt: skip
"""Cells and names that are often misread."""


def flip_bytes(rng, data):
    if not data:
        return b"\xff"
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def overwrite_bytes(rng, data):
    start = rng.randrange(len(data) + 1)
    return data[:start] + rng.randbytes(rng.choice((1, 4, 32))) + data[start + 4 :]


def truncate(rng, data):
    return data[: rng.randrange(len(data) + 1)]


def cut_out(rng, data):
    start, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[:start] + data[end:]


def repeat_part(rng, data):
    start, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[:end] + data[start:end] + data[end:]


def append_junk(rng, data):
    return data + rng.choice((b"\x00" * 64, rng.randbytes(64), b"\n\n\n", b"junk\n", b"\x1a"))


def empty(rng, data):
    return rng.choice((b"", b"\n", b" ", b"\x00", b"\r\n"))


def insert_nul(rng, data):
    start = rng.randrange(len(data) + 1)
    return data[:start] + b"\x00" * rng.choice((1, 1, 16)) + data[start:]


BYTES = (
    flip_bytes, flip_bytes, overwrite_bytes, truncate, truncate, cut_out, repeat_part, append_junk,
    empty, insert_nul,
)  # fmt: skip


def bom(rng, data):
    return b"\xef\xbb\xbf" + data


def crlf(rng, data):
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def no_final_newline(rng, data):
    return data.rstrip(b"\r\n")


def only_cr(rng, data):
    return data.replace(b"\n", b"\r")


def bom_within(rng, data):
    start = rng.randrange(len(data) + 1)
    return data[:start] + b"\xef\xbb\xbf" + data[start:]


def as_utf16(rng, data):
    return data.decode(errors="replace").encode(rng.choice(("utf-16", "utf-16-le", "utf-16-be")))


def as_latin1(rng, data):
    start = rng.randrange(len(data) + 1)
    return data[:start] + rng.choice("éüñß").encode("latin-1") + data[start:]


def insert_unicode(rng, data):
    start = rng.randrange(len(data) + 1)
    return (
        data[:start]
        + rng.choice(("é", "β", "日本", "\u2028", "\x85", "\xa0")).encode()
        + data[start:]
    )


def _lines(change):
    """Turn a mutation of a list of lines into a mutation of bytes."""

    def mutate(rng, data):
        lines = data.splitlines(keepends=True) or [b""]
        return b"".join(change(rng, lines, rng.randrange(len(lines))))

    mutate.__name__ = change.__name__
    return mutate


@_lines
def delete_line(rng, lines, at):
    return lines[:at] + lines[at + 1 :]


@_lines
def double_line(rng, lines, at):
    return lines[: at + 1] + lines[at:]


@_lines
def swap_lines(rng, lines, at):
    other = rng.randrange(len(lines))
    lines[at], lines[other] = lines[other], lines[at]
    return lines


@_lines
def cut_line(rng, lines, at):
    lines[at] = lines[at][: rng.randrange(len(lines[at]) + 1)]
    return lines


@_lines
def blank_line(rng, lines, at):
    return [*lines[:at], rng.choice((b"\n", b" \n", b"\t\n", b"\r\n")), *lines[at:]]


@_lines
def comment_line(rng, lines, at):
    word = rng.choice(
        (b"# note\n", b"#\n", b"; old\n", b"track name=x\n", b"browser hide\n", b"##x\n")
    )
    return [*lines[:at], word, *lines[at:]]


@_lines
def trailing_blank(rng, lines, at):
    end = b"\n" if lines[at].endswith(b"\n") else b""
    lines[at] = lines[at].rstrip(b"\n") + rng.choice((b" ", b"\t", b"  ")) + end
    return lines


@_lines
def leading_blank(rng, lines, at):
    lines[at] = rng.choice((b" ", b"\t")) + lines[at]
    return lines


@_lines
def blank_within(rng, lines, at):
    place = rng.randrange(len(lines[at]) + 1)
    lines[at] = lines[at][:place] + rng.choice((b" ", b"\t", b"  ")) + lines[at][place:]
    return lines


@_lines
def join_lines(rng, lines, at):
    lines[at] = lines[at].rstrip(b"\n")
    return lines


@_lines
def shuffle_lines(rng, lines, at):
    rng.shuffle(lines)
    return lines


@_lines
def one_crlf(rng, lines, at):
    lines[at] = lines[at].rstrip(b"\n") + b"\r\n"
    return lines


def blanks_for_tabs(rng, data):
    return data.replace(b"\t", b" ") if b"\t" in data else data.replace(b",", b"\t")


def twice(rng, data):
    return data + data


def nasty_cell(rng, data):
    """Replace a cell with a text of `NASTY`, or append it."""
    lines = data.splitlines(keepends=True) or [b"\n"]
    at = rng.randrange(len(lines))
    part = next((each for each in (b"\t", b",", b";", b" ", b":") if each in lines[at]), b"\t")
    cells = lines[at].rstrip(b"\r\n").split(part)
    place, text = rng.randrange(len(cells)), rng.choice(NASTY).encode()
    cells[place] = text if rng.random() < 0.7 else cells[place] + text
    lines[at] = part.join(cells) + b"\n"
    return b"".join(lines)


def copied_cell(rng, data):
    """Copy a cell to another line: repeats names and breaks orderings."""
    lines = data.splitlines(keepends=True) or [b"\n"]
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    part = b"\t" if b"\t" in lines[one] else b","
    cells, others = (lines[at].rstrip(b"\r\n").split(part) for at in (one, other))
    place = rng.randrange(len(cells))
    if place < len(others):
        cells[place] = others[place]
    lines[one] = part.join(cells) + b"\n"
    return b"".join(lines)


def dropped_cell(rng, data):
    lines = data.splitlines(keepends=True) or [b"\n"]
    at = rng.randrange(len(lines))
    part = b"\t" if b"\t" in lines[at] else b","
    cells = lines[at].rstrip(b"\r\n").split(part)
    place = rng.randrange(len(cells))
    cells = (
        cells[:place] + cells[place + rng.choice((0, 1)) :] if len(cells) > 1 else [*cells, b"x"]
    )
    lines[at] = part.join(cells) + b"\n"
    return b"".join(lines)


def nasty_name(rng, data):
    """Replace every occurrence of a word with a text of `NASTY`."""
    words = sorted({word for word in data.replace(b",", b" ").split() if len(word) < 30})
    if not words:
        return b"x"
    return data.replace(rng.choice(words), rng.choice(NASTY).encode())


HARMLESS = (bom, crlf, no_final_newline)
"""Mutations that keep the meaning of a text file, which must still be read."""

TEXT = (
    *HARMLESS, only_cr, bom_within, as_utf16, as_latin1, insert_unicode, delete_line, double_line,
    swap_lines, cut_line, blank_line, comment_line, trailing_blank, leading_blank, blank_within,
    join_lines, shuffle_lines, one_crlf, blanks_for_tabs, twice, nasty_cell, nasty_cell, nasty_cell,
    nasty_cell, copied_cell, dropped_cell, nasty_name, nasty_name, *BYTES,
)  # fmt: skip


_NASTY_VALUES = (
    None, True, False, 0, 1, -1, 2, 3, 7, 0.5, -0.5, 1e-300, 1e300, 2**31, 2**63, 10**30, "", " ",
    "1", "x", "nan", "NaN", "é", "../up", "/abs", [], {}, [1], ["a"], [[]], {"a": 1}, [None],
    float("nan"), float("inf"), float("-inf"), "a" * 3000, "\x00", "\u2028", [1, 2, 3], "true",
    "hyenadna", "__import__('os').system('touch PWNED')",
)  # fmt: skip


def _places(tree, at=()):
    """Yield the nodes of a tree, as (keys to the parent, key)."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in pairs:
        yield at, key
        if isinstance(value, dict | list):
            yield from _places(value, (*at, key))


def change_tree(rng, tree):
    """Set, delete, add or double a node of a tree of dicts and lists."""
    places = list(_places(tree)) if isinstance(tree, dict | list) else []
    if not places or rng.random() < 0.05:
        return rng.choice(_NASTY_VALUES)
    above, key = rng.choice(places)
    parent = tree
    for each in above:
        parent = parent[each]
    match rng.randrange(6):
        case 0:
            del parent[key]
        case 1 if isinstance(parent, dict):
            parent[rng.choice(NASTY)] = parent[key]
        case 2 if isinstance(parent, dict):
            parent[rng.choice(list(parent))] = parent[key]
        case 3 if isinstance(parent[key], int | float):
            parent[key] = rng.choice(
                (-parent[key], parent[key] + 1, parent[key] * 1000, 0, str(parent[key]))
            )
        case _:
            parent[key] = rng.choice(_NASTY_VALUES)
    return tree


def json_tree(rng, data):
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return flip_bytes(rng, data)
    return json.dumps(change_tree(rng, tree), indent=2).encode()


def json_deep(rng, data):
    n = rng.choice((100, 5000, 100_000))
    return b"[" * n + b"]" * n


def json_twice_a_key(rng, data):
    return data.replace(b"{", b'{"d_model": 8, ', 1)


JSON = (*[json_tree] * 10, json_deep, json_twice_a_key, *BYTES, bom, as_utf16, as_latin1)

_EVIL_YAML = (
    b'!!python/object/apply:os.system ["touch PWNED"]\n',
    b'genome: !!python/object/apply:os.system ["touch PWNED"]\n',
    b"a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n",
    b"&a [*a]\n", b"genome: &g\n  x: *g\n", b"steps: 2020-01-01\n", b"steps: 0o17\n",
    b"steps: 1:30\n",
    b"? [a, b]\n: 1\n", b"1: 2\n", b"null: 2\n", b"steps:\t2\n", b"--- \nsteps: 1\n---\nsteps: 2\n",
    b"%YAML 9.9\n---\nsteps: 1\n", b"steps: !!binary aGk=\n", b"steps: !!set {1, 2}\n",
    b"<<: {steps: 2}\n", b"<<: 3\n", b"? {a: b}\n: c\n", b"steps: !foo 1\n", b"2020-01-01: 1\n",
    b"steps: .nan\nlearning_rate: .inf\n", b"steps: 1e400\n", b"steps: " + b"9" * 5000 + b"\n",
    b"[" * 3000, b"a: " * 200, b"steps: 1\nsteps: 2\n", b"steps: 2001-02-30\n", b"=: 1\n",
    b"steps: =\n",
    b"learning_rate: " + b"9" * 5000 + b"e1\n", b"true: 1\n", b"1.5: 2\n", b"steps: 1_000\n",
)  # fmt: skip


def yaml_tree(rng, data):
    try:
        tree = yaml.safe_load(data)
        changed = change_tree(rng, tree)
        return yaml.safe_dump(changed, sort_keys=False, allow_unicode=True).encode()
    except (yaml.YAMLError, RecursionError, ValueError, TypeError):
        return flip_bytes(rng, data)


def yaml_evil(rng, data):
    evil = rng.choice(_EVIL_YAML)
    return rng.choice((evil, data + evil, evil + data))


YAML = (*[yaml_tree] * 10, *[yaml_evil] * 5, *TEXT)


def gzipped(rng, data):
    return gzip.compress(data, mtime=0)


def bgzip(data, block=400):
    """Compress as bgzip, in blocks of `block` bytes, with the end marker."""
    parts = [data[start : start + block] for start in range(0, len(data), block)]
    return b"".join(_block(part) for part in [*parts, b""])


def _block(part):
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    packed = packer.compress(part) + packer.flush()
    head = struct.pack("<4BI2BH", 31, 139, 8, 4, 0, 0, 255, 6)
    extra = struct.pack("<2B2H", 66, 67, 2, len(packed) + 25)
    return head + extra + packed + struct.pack("<2I", zlib.crc32(part), len(part))


def blocks_of(data):
    """Split a bgzip file into its blocks; trailing bytes that are not a block come last."""
    parts, at = [], 0
    while at + 18 <= len(data) and data[at : at + 4] == b"\x1f\x8b\x08\x04":
        size = struct.unpack_from("<H", data, at + 16)[0] + 1
        parts.append(data[at : at + size])
        at += size
    return [*parts, data[at:]] if at < len(data) else parts


def cut_between_blocks(rng, data):
    parts = blocks_of(data)
    return b"".join(parts[: rng.randrange(max(len(parts), 1))])


def lost_block(rng, data):
    parts = blocks_of(data) or [data]
    at = rng.randrange(len(parts))
    return b"".join(parts[:at] + parts[at + 1 :])


def double_block(rng, data):
    parts = blocks_of(data) or [data]
    at = rng.randrange(len(parts))
    return b"".join(parts[: at + 1] + parts[at:])


def end_marker_within(rng, data):
    parts = blocks_of(data) or [data]
    parts.insert(rng.randrange(len(parts)), _block(b""))
    return b"".join(parts)


COMPRESSED = (
    *BYTES, *[cut_between_blocks] * 4, lost_block, double_block, end_marker_within, truncate,
    truncate,
)  # fmt: skip


def change_safetensors(rng, data):
    """Change the header, the length or numbers of a safetensors file."""
    try:
        (size,) = struct.unpack_from("<Q", data)
        header = json.loads(data[8 : 8 + size])
        header[next(iter(header))]
    except (struct.error, ValueError, TypeError, StopIteration, RecursionError):
        return flip_bytes(rng, data)
    body = bytearray(data[8 + size :])
    match rng.randrange(5):
        case 0:
            return (
                struct.pack("<Q", rng.choice((0, 1, 2**40, 2**63, size + 1, size - 1))) + data[8:]
            )
        case 1:
            numbers = struct.pack("<f", rng.choice((float("nan"), float("inf"), 1e38, -1e38)))
            at = rng.randrange(max(len(body) // 4, 1)) * 4
            body[at : at + 4] = numbers
        case 2:
            name = rng.choice(list(header))
            if isinstance(header[name], dict) and "dtype" in header[name]:
                header[name]["dtype"] = rng.choice(
                    ("F16", "BF16", "I32", "F64", "BOOL", "F8_E4M3", "X")
                )
        case 3:
            name = rng.choice(list(header))
            header[rng.choice((*NASTY, name + ".x", "model." + name))] = header.pop(name)
        case _:
            header = change_tree(rng, header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(body)


SAFETENSORS = (*[change_safetensors] * 8, *BYTES)


class Evil:
    """An object whose pickle runs code when it is loaded."""

    def __init__(self, call):
        self._call = call

    def __reduce__(self):
        import os  # noqa: PLC0415 named in the pickle

        match self._call:
            case 0:
                return os.system, ("touch PWNED",)
            case 1:
                return open, ("PWNED", "w")
            case _:
                return exec, ("open('PWNED', 'w').close()",)


def evil_pickle(rng, data):
    """Write a pickle that runs code when it is loaded, bare or in the format of torch."""
    import io  # noqa: PLC0415 as torch, which takes long

    import torch  # noqa: PLC0415 likewise

    evil = Evil(rng.randrange(3))
    tree = rng.choice((evil, {"state_dict": evil}, {"state_dict": {"x": evil}}))
    if rng.random() < 0.3:
        return pickle.dumps(tree, protocol=rng.choice((0, 2, 4)))
    stream = io.BytesIO()
    torch.save(tree, stream, _use_new_zipfile_serialization=rng.random() < 0.7)
    return stream.getvalue()


def odd_checkpoint(rng, data):
    """Write a checkpoint with other keys or other tensors."""
    import io  # noqa: PLC0415 as torch, which takes long

    import torch  # noqa: PLC0415 likewise

    try:
        tree = torch.load(io.BytesIO(data), weights_only=True)
        tensors = tree["state_dict"]
        name = rng.choice(list(tensors))
    except Exception:  # noqa: BLE001 damaged by an earlier mutation
        return flip_bytes(rng, data)
    choices = (
        lambda: tensors.pop(name), lambda: tensors.update({name: tensors[name].half()}),
        lambda: tensors.update({name: tensors[name].flatten().flip(0)[None]}),
        lambda: tensors.update({name: tensors[name].to_sparse()}),
        lambda: tensors.update({name: tensors[name] * float("nan")}),
        lambda: tensors.update({name: tensors[name].long()}),
        lambda: tensors.update({name: tensors[name].to(torch.complex64)}),
        lambda: tensors.update({name: torch.zeros(0)}), lambda: tensors.update({name: 3}),
        lambda: tensors.update({name: [tensors[name]]}), lambda: tensors.update({3: tensors[name]}),
        lambda: tensors.update({name: tensors[name].to("meta")}),
        lambda: tensors.update({rng.choice(NASTY): tensors[name]}),
        lambda: tree.update({"state_dict": list(tensors)}), lambda: tree.update({"state_dict": {}}),
        lambda: tree.pop("state_dict"),
        lambda: tensors.update(
            {name: torch.quantize_per_tensor(tensors[name], 0.1, 0, torch.qint8)}
        ),
    )  # fmt: skip
    stream = io.BytesIO()
    try:
        rng.choice(choices)()
        torch.save(tree, stream, _use_new_zipfile_serialization=rng.random() < 0.8)
    except Exception:  # noqa: BLE001 an earlier mutation changed the tree
        return flip_bytes(rng, data)
    return stream.getvalue()


CHECKPOINT = (*[evil_pickle] * 4, *[odd_checkpoint] * 8, *BYTES)


def change_words(rng, data):
    """Set a little-endian word of 32 bits to an unusual number."""
    if len(data) < 4:
        return flip_bytes(rng, data)
    out = bytearray(data)
    at = rng.randrange(len(out) - 3)
    word = rng.choice((0, 1, 2**31 - 1, 2**31, 2**32 - 1, len(data), len(data) - 1, 16))
    out[at : at + 4] = struct.pack("<I", word)
    return bytes(out)


def other_byte_order(rng, data):
    n = len(data) // 4 * 4
    words = struct.unpack(f"<{n // 4}I", data[:n])
    return struct.pack(f">{n // 4}I", *words) + data[n:]


BINARY = (*[change_words] * 8, other_byte_order, *BYTES)


def damaged_bcf(rng, data):
    """Damage the content of a BCF file and compress it again."""
    try:
        plain = gzip.decompress(data)
    except (OSError, EOFError, ValueError, zlib.error):
        return flip_bytes(rng, data)
    changed = rng.choice((*BYTES, change_words))(rng, plain)
    return bgzip(changed, 2000)


def draw(rng: Random, data: bytes, mutations) -> tuple[bytes, list[str]]:
    """Apply up to three mutations; return the bytes and the names of the mutations."""
    names = []
    for _ in range(rng.choice((0, 1, 1, 1, 1, 1, 1, 2, 2, 3)) if mutations else 0):
        mutate = rng.choice(mutations)
        data = mutate(rng, data)
        names.append(mutate.__name__)
    return data, names
