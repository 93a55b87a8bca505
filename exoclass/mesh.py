"""MeSH tree files: from the name of a heading to its tree numbers, and from these to our disease labels.

The labels made here are silver: they say what an indexer found worth a heading, not what is treated. New records have
no headings yet, so headings are never model input.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from exoclass.errors import InputError, TaxonomyError
from exoclass.readers.source import open_source, text_lines
from exoclass.taxonomy import Label, Taxonomy

NEOPLASMS = "neoplasms"
"""A heading for tumours of a site stands under the site as well, and is about the tumour all the same."""

OVERRIDES: Mapping[str, tuple[str, ...]] = {
    # Not tumours, though MeSH files them there: cysts, infections by tumour viruses, Barrett's oesophagus.
    "C04.182": (), "C04.925": (), "C04.834.154": (),
    # The nose, the larynx and the pharynx are no lung, and the pharynx no mouth.
    "C07.550": ("ear_nose_throat",), "C08.360": ("ear_nose_throat",), "C08.460": ("ear_nose_throat",),
    **dict.fromkeys(
        ("C08.674.453", "C08.730.368", "C08.730.561", "C08.730.674", "C08.730.749", "C08.730.798"),
        ("ear_nose_throat",),
    ),
    "C01.748.674": (),  # rhinitis, allergic more often than not
    # The nerves of eye and ear, and what is seen or heard badly, belong to eye and ear; muscle is no nerve.
    "C10.292.562": ("eye",), "C10.292.700": ("eye",), "C10.292.910": ("ear_nose_throat",),
    "C10.597.751.418": ("ear_nose_throat",), "C10.597.751.941": ("eye",), "C10.668.491": ("musculoskeletal",),
    # Pain of any place was filed under nerves in 2015 and is not in 2020; headache and neuralgia are of nerves.
    "C10.597.617": (), "C10.597.617.470": ("nervous_system",), "C10.597.617.682": ("nervous_system",),
    # Stroke is a disease of the brain; a diabetic foot is a wound and a diabetic retina an eye, both under C19 too.
    "C14.907.253": ("nervous_system",), "C14.907.320.191": (), "C14.907.320.382": (),
    # Diseases of the breast are filed under the skin.
    "C17.800.090": (),
    # Weak bone is not filed under metabolism here, nor is a protein that clumps in neurons.
    "C18.452.104": ("musculoskeletal",), "C18.452.845.650": (), "C18.452.845.800": (),
    # Ovary and testis; polycystic ovaries alone are a disease of hormones as well.
    "C19.391": ("reproductive_pregnancy",),
    "C19.391.630.580.765": ("reproductive_pregnancy", "endocrine_metabolic"),
    "F03.800.800": ("reproductive_pregnancy",), "F03.835": ("reproductive_pregnancy",),  # 2015, 2020
    # HIV and its like are infections.
    "C20.673.480": (), "C20.673.483": (),
    # Addiction is under F03 too, and what alcohol does to the liver under the liver; an overdose is a poisoning.
    "C25.775": (), "C25.775.383": ("trauma_radiation_toxic",),
    # Injuries belong to what is injured: skin, bone and joint, nerve, and so on; what is left is trauma.
    "C26": ("trauma_radiation_toxic",),
    **dict.fromkeys(("C26.200", "C26.212", "C26.417", "C26.540", "C26.859", "C26.951"), ("skin_wound",)),
    **dict.fromkeys(
        ("C26.088", "C26.115", "C26.117", "C26.289", "C26.404", "C26.411", "C26.448", "C26.531", "C26.558", "C26.803",
         "C26.831", "C26.844", "C26.874", "C26.891.733"), ("musculoskeletal",),
    ),
    "C26.260": ("nervous_system",), "C26.819": ("nervous_system",), "C26.915": ("nervous_system",),
    **dict.fromkeys(("C26.260.275", "C26.915.300.425", "C10.900.300.284"), ("trauma_radiation_toxic",)),  # the face
    **dict.fromkeys(("C26.260.275.250", "C26.915.300.425.250", "C10.900.300.284.250"), ("eye",)),
    **dict.fromkeys(("C26.260.836", "C26.915.300.745", "C10.900.300.918"), ("musculoskeletal",)),  # the skull breaks
    "C26.670": ("ear_nose_throat",), "C26.930": ("ear_nose_throat",), "C26.900": ("oral_dental",),
    "C26.141": ("congenital_neonatal",), "C26.348": ("gastrointestinal_pancreatic",), "C26.371": (), "C26.761": (),
    "C26.891.375": ("cardiovascular",), "C26.891.554": ("respiratory",), "C26.940": ("cardiovascular",),
    "C26.986.450": ("eye",),
    # Of signs and processes, which mostly name no disease, these do.
    "C23.550.355.274": ("skin_wound",), "C23.550.359": ("ageing_frailty",),  # scars, frailty
    "C23.550.414.980": ("trauma_radiation_toxic",), "C23.550.835.650": ("trauma_radiation_toxic",),  # bled to shock
    "G12.425.901.545.328": ("immune_transplant",), "G12.875.545.328": ("immune_transplant",),  # rejection: 2015, 2020
    "G07.700.320.124": ("ageing_frailty",),  # ageing in 2015
}  # fmt: skip
"""What holds from a tree number downwards instead of the roots in the taxonomy, for the files of all years."""

_MOVED = {"C02": "C01.925", "C03": "C01.610", "C12": "C12.200", "C13": "C12.050"}
"""Chapters of older years and where they are now. C12 and C13 were the male and the female urogenital diseases."""

_NUMBER = r"[A-Z](?:\d{2}(?:\.\d{3})*)?"  # a letter alone names a whole category
_LAYOUTS = tuple(
    re.compile(layout)
    for layout in (
        rf"[A-Z]\d+\t(?P<name>[^\t]+)\t(?P<number>{_NUMBER})",
        rf"(?P<number>{_NUMBER})\t(?P<name>[^\t]+)",
        rf"(?P<name>[^\t]+)[;\t](?P<number>{_NUMBER})",
    )
)


@dataclass(frozen=True, slots=True)
class MeshTree:
    """Headings and where they stand.

    Parameters
    ----------
    numbers
        Tree numbers, in today's numbering of chapters, by `heading_key`.
    files
        Names of the files they come from, without folders: the years of the tree.
    """

    numbers: Mapping[str, frozenset[str]]
    files: tuple[str, ...]

    @classmethod
    def load(cls, paths: Iterable[str | Path]) -> MeshTree:
        """Read tree files, plain or gzip, of one year or several; a heading has the numbers of all years.

        A line is ``id, name, number`` or ``number, name`` separated by tabs, or ``name;number``, as in the files
        ``mtrees*.bin`` of the NLM. The first line may be a header.

        Raises
        ------
        InputError
            If a file cannot be read, is of another format, or holds no heading of a disease.
        """
        numbers: dict[str, set[str]] = {}
        files = []
        for path in paths:
            for name, number in _read_tree(path):
                numbers.setdefault(heading_key(name), set()).add(number)
            files.append(Path(path).name)
        return cls({name: frozenset(found) for name, found in numbers.items()}, tuple(files))

    def __contains__(self, heading: str) -> bool:
        """Tell whether the heading is in the tree of any year."""
        return heading_key(heading) in self.numbers


@dataclass(frozen=True)
class DiseaseHeadings:
    """Which disease labels a heading gives: by the ``mesh`` roots of a taxonomy, and `OVERRIDES`.

    Raises
    ------
    TaxonomyError
        If no disease label of the taxonomy has a root.
    """

    tree: MeshTree
    taxonomy: Taxonomy

    def __post_init__(self) -> None:
        """Check that there are roots."""
        if not any(label.mesh for label in self._labels.values()):
            raise TaxonomyError("no disease label has a MeSH tree number", 'Give them roots, such as mesh = ["C10"].')

    @property
    def _labels(self) -> dict[str, Label]:
        return {label.id: label for label in self.taxonomy.labels if label.axis == "disease"}

    @cached_property
    def roots(self) -> dict[str, tuple[str, ...]]:
        """The labels that hold from a tree number downwards, until a longer number says otherwise."""
        roots: dict[str, tuple[str, ...]] = {}
        for label in self._labels.values():
            for root in label.mesh:
                roots[root] = (*roots.get(root, ()), label.id)
        # a taxonomy of one's own need not have all our labels
        return roots | {root: ids for root, ids in OVERRIDES.items() if set(ids) <= self._labels.keys()}

    def labels(self, heading: str) -> frozenset[str]:
        """Return the ids of the labels that a heading gives; none for one that is no disease or not in the tree."""
        numbers = self.tree.numbers.get(heading_key(heading), frozenset())
        found = frozenset(label_id for number in numbers for label_id in self._at(number))
        return frozenset({NEOPLASMS}) if NEOPLASMS in found else found

    def _at(self, number: str) -> tuple[str, ...]:
        while number:
            if number in self.roots:
                return self.roots[number]
            number = number.rpartition(".")[0]
        return ()


def heading_key(heading: str) -> str:
    """Return the name by which a heading is looked up: without the star of a major topic, and without qualifiers.

    >>> heading_key("*Stroke/drug therapy")
    'stroke'
    """
    return " ".join(heading.strip().lstrip("*").partition("/")[0].casefold().split())


def _read_tree(path: str | Path) -> Iterator[tuple[str, str]]:
    with open_source(path) as source:
        pairs = [pair for number, line in text_lines(source) if line.strip() and (pair := _pair(line, number, path))]
    if not any(number.startswith("C") and len(number) > 1 for _, number in pairs):
        raise InputError(f"{path} holds no heading of a disease", "Give --tree a whole MeSH tree file.")
    # The numbering of the file tells its age: since the two urogenital chapters became one there is no C13.
    old = any(number.startswith("C13") for _, number in pairs)
    return ((name, _today(number) if old else number) for name, number in pairs)


def _pair(line: str, line_number: int, path: str | Path) -> tuple[str, str] | None:
    for layout in _LAYOUTS:
        if match := layout.fullmatch(line.strip()):
            return match["name"].strip(), match["number"]
    if line_number == 1 and "\t" in line:  # a header
        return None
    raise InputError(
        f"{path}:{line_number} has no heading and tree number, so this is no MeSH tree file",
        "Its lines are: id, name, number; or number, name, with tabs; or name;number.",
    )


def _today(number: str) -> str:
    return _MOVED.get(number[:3], number[:3]) + number[3:]
