"""The scores of alternative alleles, as INFO of a VCF record or as rows of a table."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from megabase.inference.variant_effect import SKIP_REASONS, VariantEffect
from megabase.io.vcf import InfoField, VcfRecord

_RATIO = "log-likelihood of the alternative minus the reference allele, in nats, natural logarithm"
_SCORES = (
    InfoField("MB_LLR", "A", "Float", f"Of windows of equal length: {_RATIO}"),
    InfoField("MB_LLR_BASE", "A", "Float", f"Mean over the bases of each window: {_RATIO}"),
    InfoField("MB_LLR_FLANK", "A", "Float", f"Of the bases after the allele only: {_RATIO}"),
)
_DISTANCE = InfoField(
    "MB_DIST", "A", "Float",
    "Euclidean distance between the mean last hidden states of the two windows",
)  # fmt: skip
_SKIP = InfoField(
    "MB_SKIP", "A", "String",
    "Why the allele has no score, . if it has one: "
    + "; ".join(f"{key} = {meaning}" for key, meaning in SKIP_REASONS.items()),
)  # fmt: skip
_EDGE = InfoField(
    "MB_EDGE",
    "0",
    "Flag",
    "An end of the contig moved or shortened a window, or the two windows have different numbers "
    "of N: MB_LLR_BASE is then the better comparison",
)

NAMES = tuple(field.name for field in (*_SCORES, _DISTANCE, _SKIP, _EDGE))
"""Names of all fields; `info_fields` returns those that are written."""

_COLUMN_OF = {
    "MB_LLR": "llr", "MB_LLR_BASE": "llr_per_base", "MB_LLR_FLANK": "llr_flank",
    "MB_DIST": "distance",
}  # fmt: skip


def info_fields(*, with_distance: bool) -> tuple[InfoField, ...]:
    """Return the fields that are added to INFO, with or without the distance."""
    return (*_numbers(with_distance), _SKIP, _EDGE)


def info_entries(effects: Sequence[VariantEffect], *, with_distance: bool) -> list[str]:
    """Return the INFO entries of a record; an empty list if it has no alternative allele.

    Parameters
    ----------
    effects
        The effect of each alternative allele.
    with_distance
        Whether to include the distance.
    """
    if not effects:
        return []
    numbers = ([e.log_likelihood_ratio, e.per_base, e.flank, e.distance] for e in effects)
    entries = [
        f"{field.name}={','.join(map(_text, values))}"
        for field, values in zip(_numbers(with_distance), zip(*numbers, strict=True), strict=False)
    ]
    if any(e.skip_reason for e in effects):
        entries.append(f"{_SKIP.name}={','.join(e.skip_reason or '.' for e in effects)}")
    if any(e.is_at_edge for e in effects):
        entries.append(_EDGE.name)
    return entries


def table_columns(*, with_distance: bool) -> dict[str, type]:
    """Return the names and types of the columns of a table."""
    return {
        "contig": str, "position_1based": int, "id": str, "ref": str, "alt": str,
        **{_COLUMN_OF[field.name]: float for field in _numbers(with_distance)},
        "skip": str, "edge": bool,
    }  # fmt: skip


def table_rows(
    records: Iterable[VcfRecord], *, with_distance: bool
) -> Iterator[Mapping[str, object]]:
    """Yield a row for each alternative allele of records that have `info_entries`.

    Missing values are None: the scores of a skipped allele, the skip reason of a scored one,
    and an id of ``.``.
    """
    for record in records:
        contig, position, name, ref = record.columns[:4]
        entries = (entry.partition("=") for entry in record.columns[7].split(";"))
        info = {key: value for key, _, value in entries}
        for place, alt in enumerate(record.site(contig).alts):
            each = {
                field: None if (text := values.split(",")[place]) == "." else text
                for field, values in info.items()
                if field in (*_COLUMN_OF, _SKIP.name)
            }
            yield {
                "contig": contig,
                "position_1based": int(position) if record.has_position else None,
                "id": None if name == "." else name, "ref": ref, "alt": alt,
                **{_COLUMN_OF[field.name]: _number(each[field.name])
                   for field in _numbers(with_distance)},
                "skip": each.get(_SKIP.name), "edge": _EDGE.name in info,
            }  # fmt: skip


def count_skipped(records: Iterable[VcfRecord]) -> tuple[int, Counter[str]]:
    """Count the alternative alleles of records that have `info_entries`.

    Returns
    -------
    n_alleles, n_skipped
        The number of all alleles, and of those without a score by reason.
    """
    n_alleles = 0
    n_skipped: Counter[str] = Counter()
    mark = f"{_SKIP.name}="
    for record in records:
        n_alleles += len(record.site(record.contig).alts)
        for entry in record.columns[7].split(";"):
            if entry.startswith(mark):
                n_skipped.update(entry.removeprefix(mark).split(","))
    del n_skipped["."]
    return n_alleles, n_skipped


def skipped_text(n_skipped: Mapping[str, int]) -> str:
    """Format the number of skipped alleles, in total and by reason, most frequent first.

    Examples
    --------
    >>> skipped_text({"star": 2, "symbolic": 1_000}), skipped_text({})
    ('1,002 (symbolic 1,000; star 2)', '0')
    """
    ordered = sorted(n_skipped.items(), key=lambda each: (-each[1], each[0]))
    reasons = "; ".join(f"{reason} {n:,}" for reason, n in ordered)
    return f"{sum(n_skipped.values()):,}" + (f" ({reasons})" if reasons else "")


def _numbers(with_distance: bool) -> tuple[InfoField, ...]:
    return (*_SCORES, _DISTANCE) if with_distance else _SCORES


def _text(value: float) -> str:
    return "." if math.isnan(value) else f"{value:.6g}"


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)
