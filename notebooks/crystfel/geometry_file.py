"""What a geometry file of CrystFEL says, read as CrystFEL's own programs read it, or refused by name.

crystfel_geometry(5) is the language. Whatever decides which pixels are measured and where they lie is
either taken exactly as CrystFEL takes it, or refused; what it would only warn of, or pass over, is
refused too where somebody meant something by it. Words that decide neither are left to CrystFEL.
"""

import difflib
import re
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import numpy as np

from workbench.readings import Place, Reading, ReadingError, refusing

PARAMETER = "GEOMETRY"
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
FLAGS = ("lessthan", "morethan", "equal")
MOST_FLAGS, MOST_MASKS = 16, 8
MOST_PIXELS = 1_000_000  # along an edge of what a file holds
LARGEST_FLAG = 2**31 - 1  # CrystFEL keeps these values as whole numbers of 32 bits
RECTANGLE = ("min_fs", "max_fs", "min_ss", "max_ss")
OF_PANELS = {
    *RECTANGLE, "corner_x", "corner_y", "coffset", "fs", "ss", "res", "adu_per_eV", "adu_per_photon", "max_adu",
    "data", "mask_edge_pixels", "no_index", "saturation_map", "saturation_map_file", "badrow_direction",
    "mask", "mask_file", "mask_good", "mask_bad", *(f"flag_{kind}" for kind in FLAGS),
}  # fmt: skip
OF_THE_WHOLE = {
    "clen", "photon_energy", "electron_voltage", "wavelength", "bandwidth", "peak_list", "peak_list_type",
    "detector_shift_x", "detector_shift_y",
}  # fmt: skip
MASK_WORDS = {"mask": "data", "mask_file": "file", "mask_good": "goodbits", "mask_bad": "badbits"}
METRES = {"": 1.0, "m": 1.0, "mm": 1e-3}


class GeometryError(ReadingError):
    """A geometry file, or a file of frames beside it, that can't be used as it is."""


@dataclass(frozen=True)
class Mask:
    """Where it is written which pixels are bad: any of the bad bits set, or a good one not set."""

    dataset: str
    file: Path | None = None
    good: int = 0
    bad: int = 0


@dataclass(frozen=True)
class Panel:
    """A flat part of the detector.

    Parameters
    ----------
    name : str
    rows, columns : slice
        Where it lies in the array: slow and fast scan.
    corner, fast, slow : (2,) float64
        Of its first pixel's corner from the beam, and of a step along fast and slow scan, in the
        laboratory's x and y; pixels.
    bad : bool
        Whether nothing on it counts (``no_index``).
    edge : int
        How many pixels along its border are bad.
    flags : tuple of (str, int)
        Which values of pixels say that they are bad, such as ("morethan", 65534).
    masks : tuple of Mask
    """

    name: str
    rows: slice
    columns: slice
    corner: np.ndarray
    fast: np.ndarray
    slow: np.ndarray
    bad: bool = False
    edge: int = 0
    flags: tuple[tuple[str, int], ...] = ()
    masks: tuple[Mask, ...] = ()


@dataclass(frozen=True)
class Region:
    """A rectangle of bad pixels: of one panel's pixels, borders included, or of the laboratory's x and y.

    Parameters
    ----------
    panel : Panel or None
        None for one in the laboratory, which counts for all panels.
    low, high : tuple of float
        Fast and slow scan in the array, or x and y in pixels.
    """

    panel: Panel | None
    low: tuple[float, float]
    high: tuple[float, float]


@dataclass
class Said:
    """What a file says of one panel, or of those to come.

    Parameters
    ----------
    words : dict of str to str
    dims : dict of int to str
        What each dimension of the data is.
    flags : list of (str, str)
        Each one counts: none takes the place of another.
    masks : dict of int to dict of str to str
        ``data``, ``file``, ``goodbits``, ``badbits`` of each of eight masks.
    """

    words: dict[str, str] = field(default_factory=dict)
    dims: dict[int, str] = field(default_factory=lambda: {0: "ss", 1: "fs"})
    flags: list[tuple[str, str]] = field(default_factory=list)
    masks: dict[int, dict[str, str]] = field(default_factory=dict)


@dataclass
class GeometryFile:
    """A geometry file's words, sorted by whom they are about.

    Parameters
    ----------
    path : Path
    panels : dict of str to Said
    regions : dict of str to dict of str to str
        Of bad pixels.
    whole : dict of str to str
        What is said of the detector and the beam.
    unknown : list of str
        Words that CrystFEL passes over.
    """

    path: Path
    panels: dict[str, Said] = field(default_factory=dict)
    regions: dict[str, dict[str, str]] = field(default_factory=dict)
    whole: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def refuse(self, where: str, found: str, expected: str = "", advice: str = "") -> NoReturn:
        """Raise a `GeometryError` about a place in the file."""
        raise GeometryError(Place(self.path, where, PARAMETER), found, expected, advice)

    def number(self, where: str, word: str, value: str) -> float:
        """Return the number that a word gives, or refuse it."""
        if not re.fullmatch(NUMBER, value):
            self.refuse(where, f"{word} = {value}", "a number, with a point and no unit")
        return float(value)


# ---------------------------------------------------------------------------- words


def read_words(path: Path) -> GeometryFile:
    """Return what a geometry file says, word by word.

    Raises
    ------
    GeometryError
        CrystFEL would refuse it, or a word of it counts for nothing.
    """
    found = GeometryFile(path)
    text, common, unused = text_of(path), Said(), ""
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        said = line.lstrip(" \t").partition(";")[0]
        if not said:
            continue
        key, equals, value = (part.strip() for part in said.partition("="))
        where = f"line {number}"
        if not equals:
            found.refuse(
                where,
                f"'{said.strip()}'",
                "a word, =, and its value",
                "CrystFEL refuses this line too.",
            )
        name, slash, word = key.partition("/")
        if not slash:
            if take_common(found, common, where, key, value):
                unused = f"{where}, {key}"
        elif name.startswith("bad"):
            take_bad(found, name, word, value, where)
        else:
            if name not in found.panels:
                found.panels[name], unused = deepcopy(common), ""
            take(found, found.panels[name], where, word, value)
    if not found.panels:
        found.refuse("", "a file that describes no panel", "a geometry file of CrystFEL")
    if unused:
        found.refuse(
            unused, "a setting after the last panel", "it before the panels that it is meant for",
            "It counts for panels that come later, and there is none; CrystFEL refuses the file.",
        )  # fmt: skip
    return found


def text_of(path: Path, parameter: str = PARAMETER) -> str:
    """Return a file's text: in UTF-8, or else in Latin-1, in which old comments are written.

    Raises
    ------
    ReadingError
        It can't be read, or begins with a byte order mark, with which CrystFEL can't read it.
    """
    with refusing(Place(path, "", parameter), "a text file"):
        content = Path(path).read_bytes()
    if content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise GeometryError(
            Place(path, "line 1", parameter), "a byte order mark, as Windows' editor writes it", "plain text",
            "CrystFEL can't read it. Save the file as UTF-8 without it.",
        )  # fmt: skip
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def take_common(found: GeometryFile, common: Said, where: str, key: str, value: str) -> bool:
    """Take a word without a panel's name; return whether it counts for panels to come."""
    if key.startswith(("group_", "rigid_group")):
        return False  # how panels are moved together: nothing of where they are
    if key in OF_THE_WHOLE:
        found.whole[key] = value
        return False
    take(found, common, where, key, value)
    return True


def take(found: GeometryFile, said: Said, where: str, word: str, value: str) -> None:
    """Take what is said of a panel."""
    if match := re.fullmatch(r"dim(\d+)", word):
        said.dims[int(match[1])] = value
    elif word.startswith("flag_") and word[5:] in FLAGS:
        said.flags.append((word[5:], value))
    elif match := re.fullmatch(r"mask(\d+)_(data|file|goodbits|badbits)", word):
        said.masks.setdefault(int(match[1]), {})[match[2]] = value
    elif word in MASK_WORDS:
        said.masks.setdefault(0, {})[MASK_WORDS[word]] = value
    elif word in OF_PANELS:
        said.words[word] = value
    else:
        pass_over(found, where, word, value)


def pass_over(found: GeometryFile, where: str, word: str, value: str) -> None:
    """Note a word that CrystFEL has no use for, or refuse one that looks like another."""
    known = OF_PANELS | OF_THE_WHOLE | {f"dim{n}" for n in range(4)}
    near = difflib.get_close_matches(word, known, 1, 0.8)
    if word == "clen":
        found.unknown.append(
            "clen of a panel, which CrystFEL 0.10 and later refuse: write it once, without a panel"
        )
    elif near or word.startswith(("mask", "flag", "dim", "no_")):
        meant = f"Did you mean {near[0]}?" if near else ""
        found.refuse(where, f"{word} = {value}", "a word of crystfel_geometry(5)", meant)
    else:
        found.unknown.append(word)


def take_bad(found: GeometryFile, name: str, word: str, value: str, where: str) -> None:
    """Take what is said of a region of bad pixels."""
    known = (*RECTANGLE, "min_x", "max_x", "min_y", "max_y", "panel")
    if word not in known:
        found.refuse(where, f"{name}/{word}", f"one of {', '.join(known)}")
    found.regions.setdefault(name, {})[word] = value


# ---------------------------------------------------------------------------- panels


def panels_of(found: GeometryFile) -> list[Panel]:
    """Return the panels that a file describes."""
    return [panel_of(found, name, said) for name, said in found.panels.items()]


def panel_of(found: GeometryFile, name: str, said: Said) -> Panel:
    """Return one panel."""
    where = f"panel {name}"
    needed = (*RECTANGLE, "corner_x", "corner_y", "fs", "ss")
    if missing := [word for word in needed if word not in said.words]:
        found.refuse(
            where,
            f"no {', '.join(missing)}",
            "all of " + ", ".join(needed),
            "CrystFEL refuses the file without.",
        )
    edges = {word: int(found.number(where, word, said.words[word])) for word in RECTANGLE}
    low_fs, high_fs, low_ss, high_ss = edges.values()
    possible = 0 <= low_fs <= high_fs < MOST_PIXELS and 0 <= low_ss <= high_ss < MOST_PIXELS
    if not possible:
        found.refuse(
            where,
            f"pixels from {low_fs:.6g} to {high_fs:.6g} and {low_ss:.6g} to {high_ss:.6g}",
            f"at least one, from 0 on, below {MOST_PIXELS}",
        )
    corner = np.array(
        [found.number(where, f"corner_{axis}", said.words[f"corner_{axis}"]) for axis in "xy"]
    )
    fast, slow = (direction(found, where, axis, said.words[axis]) for axis in ("fs", "ss"))
    return Panel(
        name, slice(low_ss, high_ss + 1), slice(low_fs, high_fs + 1), corner + shift(found, where, said), fast, slow,
        bad=truth(found, where, said.words.get("no_index", "0")), edge=edge(found, where, said),
        flags=flags(found, where, said), masks=masks(found, where, said),
    )  # fmt: skip


def direction(found: GeometryFile, where: str, axis: str, words: str) -> np.ndarray:
    """Return x and y of a vector such as ``-0.9999x +0.0043y``: (2,)."""
    plain = words.replace(" ", "")
    terms = re.findall(r"[-+]?[^-+]+", plain)
    total = dict.fromkeys("xyz", 0.0)
    for term in terms:
        match = re.fullmatch(r"([-+]?)(\d+\.?\d*|\.\d+|)([xyz])", term)
        if match is None or "".join(terms) != plain:
            found.refuse(
                where, f"{axis} = {words}", "a sum of x, y and z with plain numbers, such as -0.9999x +0.0043y",
                "CrystFEL reads no exponents here.",
            )  # fmt: skip
        total[match[3]] += float(f"{match[1]}{match[2] or 1}")
    if not np.hypot(total["x"], total["y"]):
        found.refuse(where, f"{axis} = {words}", "a direction with x or y in it")
    return np.array([total["x"], total["y"]])


def shift(found: GeometryFile, where: str, said: Said) -> np.ndarray:
    """Return how far the whole detector is shifted, in pixels of this panel: (2,)."""
    words = [found.whole.get(f"detector_shift_{axis}") for axis in "xy"]
    if words == [None, None]:
        return np.zeros(2)
    if None in words:
        found.refuse(
            "",
            "only one of detector_shift_x and detector_shift_y",
            "both",
            "CrystFEL uses them as a pair.",
        )
    moved = []
    for axis, text in zip("xy", words, strict=True):
        value, _, unit = str(text).partition(" ")
        if not re.fullmatch(NUMBER, value):
            found.refuse(
                "", f"detector_shift_{axis} = {text}", "a number with m or mm",
                "A shift that each frame's file holds can't be followed here; CrystFEL's own window can.",
            )  # fmt: skip
        if unit not in METRES:
            found.refuse("", f"detector_shift_{axis} in '{unit}'", "m or mm")
        moved.append(float(value) * METRES[unit])
    if "res" not in said.words:
        found.refuse(
            where, "no res", "pixels per metre, by which the detector's shift is converted"
        )
    return np.array(moved) * found.number(where, "res", said.words["res"])


def truth(found: GeometryFile, where: str, value: str) -> bool:
    """Return what ``no_index`` says."""
    word = value.lower()
    if word not in ("true", "false") and not re.fullmatch(r"[-+]?\d+", word):
        found.refuse(
            where, f"no_index = {value}", "true, false, 1 or 0", "CrystFEL would take it as false."
        )
    return word == "true" or (word != "false" and int(word) != 0)


def edge(found: GeometryFile, where: str, said: Said) -> int:
    """Return how many pixels along a panel's border are bad."""
    value = said.words.get("mask_edge_pixels", "0")
    if not re.fullmatch(r"\+?\d+", value):
        found.refuse(where, f"mask_edge_pixels = {value}", "a whole number")
    return int(value)


def flags(found: GeometryFile, where: str, said: Said) -> tuple[tuple[str, int], ...]:
    """Return which values mean bad pixels; CrystFEL cuts what stands behind the point."""
    made = []
    for kind, value in said.flags:
        number = float(np.float32(found.number(where, f"flag_{kind}", value)))
        if abs(number) > LARGEST_FLAG:
            found.refuse(
                where, f"flag_{kind} = {value}", "a number below 2147483648",
                "CrystFEL keeps 32 bits of it, and would mark other pixels. For pixels of 4294967295, "
                "flag_morethan = 2000000000 does it.",
            )  # fmt: skip
        made.append((kind, int(number)))
    if len(made) > MOST_FLAGS:
        found.refuse(
            where, f"{len(made)} flag values", f"at most {MOST_FLAGS}, as many as CrystFEL keeps"
        )
    return tuple(made)


def masks(found: GeometryFile, where: str, said: Said) -> tuple[Mask, ...]:
    """Return a panel's masks; a file that isn't named in full lies beside the geometry file."""
    made = []
    for number, words in sorted(said.masks.items()):
        location = words.get("data", "")
        if number >= MOST_MASKS:
            found.refuse(where, f"mask{number}", f"masks from 0 to {MOST_MASKS - 1}")
        if not location.startswith("/"):
            given = (
                f"mask{number} at '{location}'"
                if location
                else f"{', '.join(words)} of mask{number} and no location"
            )
            found.refuse(
                where,
                given,
                f"mask{number}_data, a path in the file that begins with /",
                "CrystFEL would use no mask.",
            )
        if "%" in location:
            found.refuse(
                where,
                f"a mask at {location}",
                "one place for all frames",
                "A % in a path can't be followed here.",
            )
        good, bad = (bits(found, where, words.get(kind, "0")) for kind in ("goodbits", "badbits"))
        beside = found.path.parent / words["file"] if words.get("file") else None
        made.append(Mask(location, beside, good, bad))
    return tuple(made)


def bits(found: GeometryFile, where: str, value: str) -> int:
    """Return the bits of a mask, written as 0xff or as 255; a leading 0 means nothing."""
    if re.fullmatch(r"0[xX][0-9a-fA-F]+", value):
        number = int(value, 16)
    elif re.fullmatch(NUMBER, value):
        number = int(float(value))
    else:
        found.refuse(where, f"the bits {value} of a mask", "a number such as 255 or 0xff")
    if not 0 <= number < 2**32:
        found.refuse(where, f"the bits {value} of a mask", "32 bits at most")
    return number


# ---------------------------------------------------------------------------- regions, layout


def regions_of(found: GeometryFile, panels: Iterable[Panel]) -> list[Region]:
    """Return the regions of bad pixels."""
    by_name = {panel.name: panel for panel in panels}
    return [region_of(found, name, words, by_name) for name, words in found.regions.items()]


def region_of(
    found: GeometryFile, name: str, words: dict[str, str], panels: dict[str, Panel]
) -> Region:
    """Return one region of bad pixels."""
    given = set(words) - {"panel"}
    axes = ("fs", "ss") if given & set(RECTANGLE) else ("x", "y")
    needed = {f"{end}_{axis}" for axis in axes for end in ("min", "max")}
    if given != needed:
        found.refuse(
            name,
            ", ".join(sorted(given)) or "no limits",
            ", ".join(sorted(needed)),
            "All four make a rectangle; CrystFEL would mask something else.",
        )
    read: Callable[[float], float] = int if axes[0] == "fs" else float
    across, up = (
        [
            read(found.number(name, f"{end}_{axis}", words[f"{end}_{axis}"]))
            for end in ("min", "max")
        ]
        for axis in axes
    )
    low, high = (across[0], up[0]), (across[1], up[1])
    if low[0] > high[0] or low[1] > high[1]:
        found.refuse(
            name,
            f"a region from {low} to {high}",
            "the smaller number first",
            "Like this it masks nothing.",
        )
    if axes[0] == "x":
        return Region(None, low, high)
    return Region(panel_of_region(found, name, words.get("panel"), low, high, panels), low, high)


def panel_of_region(
    found: GeometryFile,
    name: str,
    wanted: str | None,
    low: tuple,
    high: tuple,
    panels: dict[str, Panel],
) -> Panel:
    """Return the panel that a region lies on, all of it."""
    only = next(iter(panels.values()))
    at_zero = len(panels) == 1 and not (only.rows.start or only.columns.start)
    if wanted is None and not at_zero:
        found.refuse(
            name, "a region without a panel", f"{name}/panel = one of {', '.join(list(panels)[:8])}"
        )
    panel = only if wanted is None else panels.get(wanted)
    if panel is None:
        found.refuse(name, f"panel = {wanted}", f"one of {', '.join(list(panels)[:8])}")
    first, last = (
        (panel.columns.start, panel.rows.start),
        (panel.columns.stop - 1, panel.rows.stop - 1),
    )
    if any(a < b for a, b in zip(low, first, strict=False)) or any(
        a > b for a, b in zip(high, last, strict=False)
    ):
        found.refuse(
            name,
            f"pixels {low} to {high}",
            f"pixels of panel {panel.name}, {first} to {last}",
            "They count as in the file's array.",
        )
    return panel


def layout_of(found: GeometryFile) -> tuple[str, list[str]]:
    """Return where the frames are, and what each dimension is: one array for all panels.

    Raises
    ------
    GeometryError
        Panels lie in several, or along a third dimension, or CrystFEL would refuse the order.
    """
    made = {
        (said.words.get("data", "/data/data"), tuple(sorted(said.dims.items())))
        for said in found.panels.values()
    }
    if len(made) != 1:
        found.refuse(
            "", "panels in different datasets or along a third dimension", "all of them in one array of two dimensions a frame",
            "This notebook can't draw them. CrystFEL's own window and programs can read them.",
        )  # fmt: skip
    dataset, dims = made.pop()
    if "%" in dataset:
        found.refuse(
            "data",
            dataset,
            "one array that holds all frames",
            "A % in a path can't be followed here.",
        )
    order = [value for _, value in dims]
    told = ", ".join(f"dim{n} = {value}" for n, value in dims)
    whole = [number for number, _ in dims] == list(range(len(dims)))
    known = all(value in ("%", "ss", "fs") or value.isdecimal() for value in order)
    if (
        not whole
        or not known
        or order.count("ss") != 1
        or order.count("fs") != 1
        or order.count("%") > 1
    ):
        found.refuse(
            "",
            told,
            "from dim0 on, each of ss and fs once, one % at most, and whole numbers",
            "Without words, dim0 is ss and dim1 is fs.",
        )
    if order.index("fs") < order.index("ss"):
        found.refuse(
            "",
            told,
            "ss before fs",
            "CrystFEL demands that the fast scan is the last; turn a panel by its fs and ss.",
        )
    return dataset, order


def pixels_per_m(found: GeometryFile) -> float | None:
    """Return how many pixels a metre of the detector has; None where panels differ or nothing is said."""
    told = {said.words.get("res", "") for said in found.panels.values()}
    one = told.pop()
    return found.number("", "res", one) if one and not told else None


def offsets(found: GeometryFile) -> np.ndarray:
    """Return how far each panel lies behind the detector's distance, metres: (panels,)."""
    return np.array(
        [
            found.number(f"panel {name}", "coffset", said.words.get("coffset", "0"))
            for name, said in found.panels.items()
        ]
    )


def tell(found: GeometryFile, reading: Reading) -> None:
    """Note what a file leaves open or says for nothing."""
    lacking = (
        []
        if {"photon_energy", "wavelength", "electron_voltage"} & set(found.whole)
        else ["photon_energy"]
    )
    lacking += [] if "clen" in found.whole else ["clen"]
    words = [said.words for said in found.panels.values()]
    lacking += [] if all("res" in w for w in words) else ["res"]
    lacking += (
        [] if all({"adu_per_photon", "adu_per_eV"} & set(w) for w in words) else ["adu_per_photon"]
    )
    if lacking:
        reading.left_out(
            f"{found.path.name} doesn't say {', '.join(lacking)}: peaks don't need that, and CrystFEL refuses the file"
        )
    if found.unknown:
        reading.left_out(
            f"{found.path.name}: words that nobody uses: {', '.join(sorted(set(found.unknown)))}"
        )
    if any({"max_adu", "saturation_map"} & set(w) for w in words):
        reading.left_out(
            f"{found.path.name}: max_adu and saturation maps, which CrystFEL's integration uses and peaks here don't"
        )
    if any("z" in w["fs"] + w["ss"] for w in words):
        reading.left_out(
            f"{found.path.name}: how panels are tilted along the beam, for pictures only"
        )
    for panel in found.panels.values():
        for number, mask in panel.masks.items():
            if not {"goodbits", "badbits"} & set(mask):
                reading.left_out(
                    f"mask{number}, {mask.get('data')}: without good or bad bits it marks no pixel, in CrystFEL neither"
                )
