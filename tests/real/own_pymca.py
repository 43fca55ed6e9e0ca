"""Files of one's own for PyMca's tutorials, right and wrong ones; run in that environment."""

import re
import unittest
from codecs import BOM_UTF8

import consistency
import fitting
import h5py
import numpy as np
import own_experiment
import own_spectra
import own_stacks
import samples
import thin_section
from fluorescence import RESIN
from own_case import Files
from PyMca5.PyMcaIO import ConfigDict

from workbench import Checks
from workbench.readings import Place, QuestionError, ReadingError

SHIPPED = fitting.SHIPPED


def spec(counts, first=0, *, scan=1, chann=True, step=1):
    """Return a scan as SPEC writes it."""
    last = first + step * (len(counts) - 1)
    lines = [f"#S {scan} count", "#N 1", "#@MCA %16C"]
    lines += [f"#@CHANN {len(counts)} {first} {last} {step}"] if chann else []
    rows = [" ".join(f"{n:.0f}" for n in counts[i : i + 16]) for i in range(0, len(counts), 16)]
    return "\n".join([*lines, "#L counts", "@A " + "\\\n".join(rows), ""]) + "\n"


COUNTS = np.random.default_rng(1).poisson(200 + 50 * np.sin(np.arange(2048) / 90))


class Spectra(Files):
    def read(self, text: str | bytes, name="a.mca", **how):
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return own_spectra.read_spectrum(path, self.reading, **how)

    def test_the_first_channel_is_the_files(self):
        found = self.read("#F a\n\n" + spec(COUNTS[60:], 60))
        self.assertEqual((found.channels[0], found.channels[-1]), (60, 2047))
        np.testing.assert_array_equal(found.counts, COUNTS[60:])

    def test_a_step_between_channels_counts(self):
        found = self.read("#F a\n\n" + spec(COUNTS[:512], 100, step=4))
        self.assertEqual(list(found.channels[:3]), [100, 104, 108])

    def test_without_that_line_it_is_assumed_and_said(self):
        self.assertEqual(self.read("#F a\n\n" + spec(COUNTS, chann=False)).channels[0], 0)
        self.assertIn("first channel is 0", str(self.reading))
        found = self.read("#F a\n\n" + spec(COUNTS, chann=False), first_channel=60)
        self.assertEqual(found.channels[0], 60)

    def test_a_line_that_contradicts_itself_is_refused(self):
        for line in ("2048 60 2107 2", "2048 60 9999 1", "2048"):
            text = re.sub("#@CHANN.*", f"#@CHANN {line}", "#F a\n\n" + spec(COUNTS, 60))
            with self.subTest(line=line), self.refused(ReadingError, "a.mca", line, "expected"):
                self.read(text)
            self.assertEqual(self.read(text, first_channel=60).channels[-1], 2107)
        for typed in ("60", 60.5, [60]):
            with self.subTest(typed=typed), self.refused(ReadingError, "a whole number"):
                self.read("#F a\n\n" + spec(COUNTS, 60), first_channel=typed)

    def test_a_byte_order_mark_is_no_part_of_it(self):
        found = self.read(BOM_UTF8 + ("#F a\n\n" + spec(COUNTS, 60)).encode())
        self.assertEqual((found.channels[0], found.counts.size), (60, 2048))

    def test_lines_of_windows_and_old_macs_are_lines(self):
        for end in ("\r\n", "\r"):
            text = ("#F a\n\n" + spec(COUNTS, 3)).replace("\n", end)
            found = self.read(text)
            np.testing.assert_array_equal(found.counts, COUNTS)
            self.assertEqual(found.channels[0], 3)

    def test_several_scans_are_a_question(self):
        text = "#F a\n\n" + "\n".join(spec(COUNTS + n, n, scan=n) for n in (3, 7))
        with self.refused(QuestionError, "a.mca", "2 scans", "SCAN", "3", "7"):
            self.read(text)
        self.assertEqual(self.read(text, scan=7).channels[0], 7)
        self.assertIn("the other 1 scan", str(self.reading))
        with self.refused(ReadingError, "no scan 5"):
            self.read(text, scan=5)

    def test_several_spectra_of_a_scan_are_a_question(self):
        text = spec(COUNTS, 5)
        text += text[text.index("@A") :].replace("@A ", "@A 7")
        with self.refused(QuestionError, "2 spectra", "MCA"):
            self.read("#F a\n\n" + text)
        found = self.read("#F a\n\n" + text, mca=1)
        np.testing.assert_array_equal(found.counts, COUNTS)
        with self.refused(ReadingError, "MCA from 1 to 2"):
            self.read("#F a\n\n" + text, mca=3)

    def test_a_cut_file_is_refused(self):
        whole = "#F a\n\n" + spec(COUNTS)
        with self.refused(ReadingError, "a.mca", "expected 2048"):
            self.read(whole[: len(whole) // 2].rsplit("\\\n", 1)[0] + "\n")

    def test_a_column_of_channels_or_energies_is_no_spectrum(self):
        for first, step, channel in ((60, 1, 60), (0.5, 0.01, 0)):
            rows = [f"{first + step * i:.4f} {n}" for i, n in enumerate(COUNTS)]
            for lines in (rows, rows[::-1]):
                found = self.read("\n".join(lines) + "\n", "a.csv")
                np.testing.assert_array_equal(found.counts, COUNTS)
                self.assertEqual(found.channels[0], channel)
        with self.refused(ReadingError, "only count up"):
            self.read("\n".join(map(str, range(2048))) + "\n", "a.csv")

    def test_what_is_no_spectrum_is_told(self):
        cases = {
            b"": ReadingError,
            b"\x89HDF\r\n\x1a\n": ReadingError,
            b"hello, world\n": ReadingError,
            ("#F a\n\n" + spec(np.zeros(2048))).encode(): ReadingError,
            b"#F a\n\n#S 1 x\n#N 1\n#L a\n1\n2\n": ReadingError,
        }
        for content, kind in cases.items():
            with self.subTest(content=content[:20]), self.assertRaises(kind):
                self.read(content)
        with self.refused(ReadingError, "no such file", "SPECTRUM"):
            own_spectra.read_spectrum(self.folder / "gone.mca", self.reading)

    def test_a_configuration_is_one(self):
        path = self.folder / "a.cfg"
        for text in ("", "[fit]\nxmin = 3\n", "\x00\x01"):
            path.write_text(text)
            with self.assertRaises(ReadingError):
                read = fitting.read_configuration
                own_spectra.read_configuration(path, read, self.reading, Place("a.mca"))


class Fits(Files):
    """What a wrong channel does to a fit, and that a check says so."""

    def test_channels_decide_the_energy_axis(self):
        configuration = fitting.read_configuration(SHIPPED / "Steel.cfg")
        whole = own_spectra.read_spectrum(SHIPPED / "Steel.spe", self.reading)
        path = self.folder / "steel.mca"
        path.write_text("#F steel\n\n" + spec(whole.counts[60:], 60))
        later = own_spectra.read_spectrum(path, self.reading)
        right = fitting.fit(configuration, whole.counts, whole.channels)
        same = fitting.fit(configuration, later.counts, later.channels)
        wrong = fitting.fit(configuration, later.counts)
        area = "Fe Ka"
        self.assertAlmostEqual(same[area]["fitarea"] / right[area]["fitarea"], 1, delta=1e-3)
        verdicts = []
        for result in (right, same, wrong):
            checks = Checks("fit")
            consistency.judge_fit(checks, "Yours", result)
            fractions = fitting.mass_fractions(result, "tertiary")
            matrix = {"Cr": 0.1837, "Fe": 0.6431, "Ni": 0.1235}
            groups = {"Cr": "Cr K", "Fe": "Fe Ka", "Ni": "Ni K"}
            consistency.judge_fractions(
                checks, {e: fractions[g] for e, g in groups.items()}, matrix
            )
            verdicts.append(checks.passed)
        self.assertEqual(verdicts, [True, True, False])


class Maps(Files):
    """Faults of maps and series turn a check red; right ones pass."""

    def judged(self, judge, *arguments):
        checks = Checks("Yours")
        judge(checks, *arguments)
        return checks

    def test_a_wrong_energy_axis_of_a_map(self):
        made = thin_section.section(3, (6, 8))
        total = made.spectra.sum(axis=(0, 1), dtype=float)
        matrix = {"fractions": RESIN, "density": 1.2, "thickness": 0.0025}
        groups = thin_section.SECTION_GROUPS
        model = fitting.configuration(made.setup, groups, fit_kev=(2.6, 15.4), matrix=matrix)
        model["fit"].update(continuum=4, linpolorder=4)
        for spectrum, passed in ((total, True), (np.roll(total, 25), False)):
            checks = self.judged(consistency.judge_fit, "Sum", fitting.fit(model, spectrum))
            self.assertEqual(checks.passed, passed, str(checks))

    def test_counts_follow_the_beam(self):
        rng = np.random.default_rng(1)
        monitor = 1 - 0.06 * (np.arange(120) % 24) / 24
        counts = rng.poisson(1e6 * monitor * np.linspace(1, 0.7, 120))
        for used, verdict in (
            (monitor, "The check passed"),
            (1 / monitor, "1 of 1 check failed"),
            (np.roll(monitor, 7), "1 of 1 check failed"),
            (np.ones(120), "No check could be judged"),
        ):
            checks = self.judged(consistency.judge_monitor, counts, used)
            self.assertEqual(checks.verdict, verdict, str(checks))

    def test_an_energy_axis_that_is_off(self):
        right = {"off_ev": 5, "element": "Fe", "gain": 0.01, "fitted_gain": 0.01, "stated": None}
        for fault, passed in (
            ({}, True),
            ({"stated": 0.01003}, True),
            ({"off_ev": -60}, False),
            ({"fitted_gain": 0.0102}, False),
            ({"stated": 0.02}, False),
        ):
            checks = Checks("Yours")
            consistency.judge_axis(checks, **{**right, **fault})
            self.assertEqual(checks.passed, passed, str(checks))

    def test_pixels_add_up(self):
        areas = {"Fe K": np.random.default_rng(1).normal(1000, 30, (10, 10))}
        sigmas = {"Fe K": np.full((10, 10), 30.0)}
        total = areas["Fe K"].sum()
        below = {"Fe K": np.where(np.arange(10) == 3, -500, areas["Fe K"] + 150)}
        for used, summed, passed in (
            (areas, total, True),
            (areas, 1.1 * total, False),
            (below, below["Fe K"].sum(), False),
        ):
            result = {"Fe K": {"fitarea": summed}}
            checks = self.judged(consistency.judge_map, used, sigmas, result)
            self.assertEqual(checks.passed, passed, str(checks))

    def test_numbers_that_were_divided_are_no_counts(self):
        counts = np.random.default_rng(1).poisson(50, 1000)
        self.assertTrue(self.judged(consistency.judge_counts, counts).passed)
        self.assertFalse(self.judged(consistency.judge_counts, counts / 0.97).passed)


class Experiments(Files):
    """Elements and experiment of a map or series: from a configuration, or asked for."""

    def setUp(self):
        super().setUp()
        self.section = thin_section.section(3, (6, 8))
        self.stack = self.folder / "map.h5"
        with h5py.File(self.stack, "w") as file:
            file["xrf"] = self.section.spectra

    def saved(self, change=lambda configuration: None, groups=thin_section.SECTION_GROUPS):
        """Return a configuration as PyMca's window saves it."""
        mass = thin_section.SECTION_MASS_G_CM2
        matrix = {"fractions": RESIN, "density": 1.2, "thickness": mass / 1.2}
        made = fitting.configuration(self.section.setup, groups, fit_kev=(2.6, 15.4), matrix=matrix)
        made["fit"].update(continuum=4, linpolorder=4)
        change(made)
        path = self.folder / "own.cfg"
        saved = ConfigDict.ConfigDict()
        saved.update(made)
        saved.write(str(path))
        return path

    def read(self, path, **how):
        return samples.own(self.stack, "xrf", self.reading, configuration=path, **how)

    def judged(self, sample):
        total = sample.spectra.sum(axis=(0, 1), dtype=float)
        checks = Checks("Yours")
        consistency.judge_fit(checks, "Sum", fitting.fit(sample.configuration, total))
        return checks

    def test_without_a_configuration_it_is_asked_for(self):
        for read in (
            lambda: self.read(None),
            lambda: own_experiment.read_experiment(None, Place("series.h5"), 1024, self.reading),
        ):
            with self.refused(QuestionError, "of which elements", "CONFIGURATION"):
                read()

    def test_the_configurations_elements_and_experiment_are_taken_and_said(self):
        sample = self.read(self.saved(groups=("Ca K", "Fe K", "Zn K")))
        self.assertEqual(sample.groups, ("Ca K", "Fe K", "Zn K"))
        self.assertEqual(set(sample.colours), set(sample.groups))
        self.assertEqual(sample.setup.energy_kev, self.section.setup.energy_kev)
        self.assertAlmostEqual(sample.mass_g_cm2, thin_section.SECTION_MASS_G_CM2)
        for words in ("17.4 keV", "Ca K, Fe K, Zn K", "2e+09 photons", "mg/cm²", "channel"):
            self.assertIn(words, str(self.reading))
        self.assertEqual(sample.bar_unit, "pixels")
        self.assertEqual(self.read(self.saved(), pixel_um=2.0).bar_unit, "µm")
        one = self.read(self.saved(groups=("Fe K",)))
        self.assertEqual((one.colours, dict(one.pairs)), (("Fe K",) * 3, {}))

    def test_another_experiments_configuration_turns_a_check_red(self):
        self.assertTrue(self.judged(self.read(self.saved())).passed)

        def gain(made):
            made["detector"].update(gain=0.0215, deltagain=1e-4)

        def zero(made):
            made["detector"].update(zero=0.35, deltazero=0.01)

        few = [g for g in thin_section.SECTION_GROUPS if g != "Fe K"]
        for fault in (self.saved(gain), self.saved(zero), self.saved(groups=few)):
            checks = self.judged(self.read(fault))
            self.assertFalse(checks.passed, str(checks))

    def test_what_cannot_be_of_these_spectra_is_refused(self):
        def weak(made):
            made["fit"]["energy"] = [5.0]

        def long(made):
            made["fit"]["xmax"] = 4000

        def bare(made):
            made["attenuators"]["Matrix"][0] = 0

        def thin(made):
            made["attenuators"]["Matrix"][3] = 0.0

        for change, words in (
            (weak, ("which a beam of 5 keV",)),
            (long, ("from channel 134 to 4000", "0 to 1023", "this detector")),
            (bare, ("no sample",)),
            (thin, ("a matrix of 0 g/cm²",)),
        ):
            with self.subTest(words=words), self.refused(ReadingError, "own.cfg", *words):
                self.read(self.saved(change))
        with self.refused(ReadingError, "own.cfg", "peaks|elements"):
            self.read(self.saved(groups=()))
        with self.refused(ReadingError, "no such file", "CONFIGURATION"):
            self.read(self.folder / "gone.cfg")


class Stacks(Files):
    def write(self, **parts):
        path = self.folder / "stack.h5"
        with h5py.File(path, "w") as file:
            for name, values in parts.items():
                unit = None
                if isinstance(values, tuple):
                    values, unit = values
                file[name] = values
                if unit is not None:
                    file[name].attrs["units"] = unit
        return path

    def test_axes(self):
        spectra = np.random.default_rng(1).poisson(9, (3, 4, 500)).astype("u4")

        def read(values, **how):
            path = self.write(xrf=values)
            return own_stacks.read_stack(path, "xrf", self.reading, **how)

        np.testing.assert_array_equal(read(spectra).spectra, spectra)
        np.testing.assert_array_equal(read(spectra[None]).spectra, spectra)
        turned = np.moveaxis(spectra, -1, 0)
        with self.refused(QuestionError, "500 x 3 x 4", "AXES", "channel"):
            read(turned)
        found = read(turned, axes=("channel", "row", "column"))
        np.testing.assert_array_equal(found.spectra, spectra)
        several = np.stack([spectra, spectra + 1], axis=2)
        with self.refused(QuestionError, "four axes", "detector"):
            read(several)
        order = ("row", "column", "detector", "channel")
        with self.refused(QuestionError, "2 detectors", "DETECTOR"):
            read(several, axes=order)
        np.testing.assert_array_equal(read(several, axes=order, detector=1).spectra, spectra + 1)
        with self.refused(ReadingError, "2 axes"):
            read(spectra[0])
        wrong = (
            ("row", "column"),
            ("row", "row", "channel"),
            ("a", "b", "c"),
            "row",
            3,
            (None,) * 3,
        )
        for axes in wrong:
            with self.refused(ReadingError, "AXES"):
                read(spectra, axes=axes)

    def test_bad_pixels_are_left_out_and_counted(self):
        values = np.random.default_rng(1).poisson(9, (3, 4, 500)).astype("f4")
        values[0, 1, 7], values[1, 1, 3], values[2, 2, 0] = np.nan, -1, 2**32 - 1
        values[2, 3] = 0
        found = own_stacks.read_stack(self.write(xrf=values), "xrf", self.reading)
        bad = {tuple(map(int, at)) for at in np.argwhere(~found.good)}
        self.assertEqual(bad, {(0, 1), (1, 1), (2, 2), (2, 3)})
        self.assertTrue(np.isfinite(found.spectra).all() and found.spectra.max() < 1000)
        for words in ("not a number", "negative", "4294967295", "without a single count"):
            self.assertIn(words, str(self.reading))

    def test_what_is_missing_is_told_with_what_is_there(self):
        path = self.write(**{"entry/other": np.zeros((3, 4, 500))})
        with self.refused(ReadingError, "stack.h5", "entry/other", "3 x 4 x 500"):
            own_stacks.read_stack(path, "/entry/measurement/xrf", self.reading)
        with self.refused(ReadingError, "a group"):
            own_stacks.read_stack(path, "entry", self.reading)
        for name in ("", None, 3):
            with self.refused(ReadingError, "the path of a data set", "entry/other"):
                own_stacks.read_stack(path, name, self.reading)
        with self.refused(ReadingError, "as a mask has them"):
            own_stacks.read_stack(self.write(xrf=np.ones((3, 4, 500), bool)), "xrf", self.reading)

    def series(self, time_unit=None, monitor_full=None, **changes):
        parts = {
            "xrf": np.random.default_rng(1).poisson(9, (6, 500)),
            "time": (60.0 * np.arange(6), "s"),
            "monitor": np.ones(6),
        } | changes
        names = {"spectra": "xrf", "time": "time", "monitor": "monitor"}
        path = self.write(**parts)
        told = {"time_unit": time_unit, "monitor_full": monitor_full}
        return own_stacks.read_series(path, names, self.reading, **told)

    def test_times_have_units(self):
        np.testing.assert_allclose(self.series().minutes, np.arange(6))
        with self.refused(QuestionError, "without a unit", "TIME_UNIT"):
            self.series(time=np.arange(6))
        np.testing.assert_allclose(self.series("min", time=np.arange(6)).minutes, np.arange(6))
        with self.refused(ReadingError, "mm"):
            self.series(time=(np.arange(6), "mm"))
        with self.refused(ReadingError, "rise"):
            self.series(time=(np.array([0, 1, 2, 1, 3, 4]), "min"))

    def test_a_monitor_of_zero_is_flagged_and_never_divided_by(self):
        found = self.series(monitor=np.array([1, 0, np.nan, -1, 1e-6, 1]))
        self.assertEqual(sorted(found.flags), [1, 2, 3, 4])
        self.assertEqual(
            list(np.isfinite(found.monitor[[0, 1, 2, 3, 5]])), [True, False, False, False, True]
        )
        with self.refused(ReadingError, "no monitor above 0"):
            self.series(monitor=np.zeros(6))

    def test_a_monitor_in_counts_is_asked_about(self):
        counts = np.array([1.0, 0.9, 0.8, 1.0, 0.9, 0.8]) * 3e5
        with self.refused(QuestionError, "about 2.7e\\+05", "MONITOR_FULL"):
            self.series(monitor=counts)
        np.testing.assert_allclose(
            self.series(monitor=counts, monitor_full=3e5).monitor, counts / 3e5
        )
        for typed in (0, -1, "3e5"):
            with self.assertRaises(ReadingError):
                self.series(monitor=counts, monitor_full=typed)

    def test_marks_in_spectra_are_flagged(self):
        spectra = np.random.default_rng(1).poisson(9, (6, 500)).astype("u4")
        spectra[2, 40], spectra[4, 7:9] = 2**32 - 1, 2**32 - 1
        flags = self.series(xrf=spectra, monitor=np.array([1, 1, 1, 1, 1, 0.0])).flags
        self.assertEqual(sorted(flags), [2, 4, 5])
        self.assertIn("2 of 6 spectra", str(self.reading))

    def test_parts_belong_together(self):
        with self.refused(ReadingError, "6 spectra", "5 monitors"):
            self.series(monitor=np.ones(5))
        with self.refused(ReadingError, "3 axes"):
            self.series(xrf=np.ones((6, 5, 500)))


if __name__ == "__main__":
    unittest.main()
