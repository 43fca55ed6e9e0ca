"""Files of one's own for pyFAI's tutorials, right and wrong ones; run in that environment."""

import logging
import re
import unittest
from dataclasses import replace
from functools import cache

import consistency
import exposure
import fabio
import h5py
import numpy as np
import own_images
from flat_detector import Detector, Geometry
from own_case import Files
from powder import CEO2, LAB6, powder_curve, with_background

from workbench import Checks
from workbench.readings import Place, QuestionError, Reading, ReadingError

logging.disable(logging.WARNING)  # pyFAI tells of files that it doesn't like
SQUARES = [3, 4, 8, 11, 12, 16, 19, 20, 24]
SMALL = Detector("Detector", (500, 460), 360e-6, (240, 220), (20, 20))
GEOMETRY = Geometry(0.2, 0.085, 0.072, np.radians(2.0), np.radians(-1.2), 0.0, 20.0)
PONI = """# An old file, as pyFAI wrote it before it knew detectors
PixelSize1: {detector.pixel_m}
PixelSize2: {detector.pixel_m}
Distance: {geometry.dist_m}
Poni1: {geometry.poni1_m}
Poni2: {geometry.poni2_m}
Rot1: {geometry.rot1_rad}
Rot2: {geometry.rot2_rad}
Rot3: {geometry.rot3_rad}
Wavelength: {geometry.wavelength_m}
"""


@cache
def image(crystal=CEO2):
    """Return counts as a detector with gaps writes them, 2^32 - 1 in the gaps: (ny, nx) uint32."""
    wavelength = GEOMETRY.wavelength_angstrom
    rings = powder_curve(crystal, wavelength, 0.65, peak=2000, broadening_deg=0.2)
    curve = with_background(rings, wavelength, air=150, glass=60)
    points = exposure.subpixels(GEOMETRY, SMALL, 2)
    expected = exposure.average(curve, points) * exposure.losses(GEOMETRY, SMALL)
    counts = np.random.default_rng(1).poisson(expected).astype(np.uint32)
    counts[SMALL.gaps] = 2**32 - 1
    return counts


class Images(Files):
    """What is wrong with an image or its geometry turns a check red; the right one passes."""

    def poni(self, text=None, **changes):
        path = self.folder / "own.poni"
        geometry = replace(GEOMETRY, **changes)
        path.write_text(text or PONI.format(geometry=geometry, detector=SMALL))
        return path

    def edf(self, values, name="own.edf", header=None):
        path = self.folder / name
        fabio.edfimage.EdfImage(data=values, header=header).write(str(path))
        return path

    def judged(self, counts, *, marks=None, mask=None, a_start=5.4115, **changes):
        integrator = own_images.read_geometry(self.poni(**changes), self.reading)
        path = self.edf(counts)
        counts = own_images.read_image(path, self.reading)
        detector = integrator.detector
        own_images.fits_detector(counts.shape, detector, Place(path))
        bad = own_images.bad_pixels(counts, detector, self.reading, mask=mask, marks=marks)
        marked = own_images.bad_pixels(counts, detector, Reading("not shown"))
        checks = Checks("Image")
        consistency.judge_image(
            checks, integrator, counts, bad, marked,
            squares=SQUARES, a_start=a_start, within_percent=0.5, polarisation=0.98,
        )  # fmt: skip
        return checks

    def test_a_right_image_passes_although_its_gaps_hold_the_largest_number(self):
        checks = self.judged(image())
        self.assertTrue(checks.passed, str(checks))
        self.assertIn("4294967295", str(self.reading))
        self.assertIn("without the detector's mask", str(self.reading))

    def test_faults_are_seen(self):
        counts = image()
        faults = {
            "wavelength 2 % too long": (counts, {"energy_kev": 20 / 1.02}),
            "distance 2 % too long": (counts, {"dist_m": 0.204}),
            "upside down": (np.flipud(counts), {}),
            "left and right exchanged": (np.fliplr(counts), {}),
            "beam centre 3 pixels off": (counts, {"poni2_m": 0.072 + 3 * 360e-6}),
            "another powder": (image(LAB6), {}),
            "a stripe of dead pixels": (np.where(np.arange(460) // 30 == 4, 0, counts), {}),
            "counts over their monitor": (np.where(counts > 1e9, -1, counts / 37.0), {}),
        }
        for fault, (values, changes) in faults.items():
            with self.subTest(fault=fault):
                checks = self.judged(np.ascontiguousarray(values), **changes)
                self.assertFalse(checks.passed, str(checks))

    def test_a_mask_that_means_the_opposite_is_asked_for_or_seen(self):
        right = SMALL.gaps | (np.indices(SMALL.shape)[1] < 20)
        path = self.edf(right.astype(np.uint8), "mask.edf")
        self.assertTrue(self.judged(image(), mask=path).passed)
        hot = np.random.default_rng(2).random(SMALL.shape) < 3e-4
        masked = self.edf((right | hot).astype(np.uint8), "hot.edf")
        counts = np.where(hot & ~SMALL.gaps, 900_000, image()).astype(np.uint32)
        counts[hot] += np.arange(hot.sum(), dtype=np.uint32) * ~SMALL.gaps[hot]
        checks = self.judged(counts, mask=masked)
        self.assertTrue(checks.passed, str(checks))
        turned = self.edf((~right).astype(np.uint8), "turned.edf")
        with self.refused(QuestionError, "turned.edf", "MASK_MARKS", "bad.*good"):
            self.judged(image(), mask=turned)
        self.assertTrue(self.judged(image(), mask=turned, marks="good").passed)
        opposite = self.judged(image(), mask=path, marks="good")
        self.assertFalse(opposite.passed, str(opposite))
        self.assertIn("FAILED  Counts that are used", str(opposite))
        with self.refused(ReadingError, "10 x 10", "500 x 460"):
            self.judged(image(), mask=self.edf(np.zeros((10, 10), np.uint8), "mask.edf"))

    def test_several_frames_are_a_question(self):
        path = self.folder / "frames.edf"
        frames = fabio.edfimage.EdfImage(data=np.zeros((9, 8), np.int32))
        frames.append_frame(data=np.ones((9, 8), np.int32))
        frames.write(str(path))
        with self.refused(QuestionError, "frames.edf", "2 frames", "FRAME"):
            own_images.read_image(path, self.reading)
        np.testing.assert_array_equal(own_images.read_image(path, self.reading, frame=1), 1)
        self.assertIn("frame 1 of 2", str(self.reading))
        with self.refused(ReadingError, "FRAME from 0 to 1"):
            own_images.read_image(path, self.reading, frame=2)

    def test_what_is_no_image_or_geometry_is_told(self):
        (self.folder / "a.tif").write_bytes(b"II*\x00nothing")
        (self.folder / "b.txt").write_text("hello")
        for name in ("a.tif", "b.txt", "gone.edf", "."):
            with self.subTest(name=name), self.refused(ReadingError, "expected an image"):
                own_images.read_image(self.folder / name, self.reading)
        text = self.poni().read_text()
        lines = text.splitlines()
        for i, line in enumerate(lines[1:], 1):
            key = line.partition(":")[0]
            if "PixelSize" in key:
                continue
            with self.subTest(key=key), self.refused(ReadingError, "own.poni", key.lower()):
                own_images.read_geometry(
                    self.poni("\n".join(lines[:i] + lines[i + 1 :])), self.reading
                )
        wrong = {
            "a wavelength": text.replace("Wavelength: 6.1", "Wavelength: 0.61 #"),
            "a distance": text.replace("Distance: 0.2", "Distance: 203"),
            "numbers": text.replace("Distance: 0.2", "Distance: far"),
            "a rotation 1 of 45 rad": re.sub("Rot1: .*", "Rot1: 45", text),
            "nan rad": re.sub("Rot2: .*", "Rot2: nan", text),
            "a PONI 1 of 85 m": re.sub("Poni1: .*", "Poni1: 85", text),
            "a PONI 2 of nan": re.sub("Poni2: .*", "Poni2: nan", text),
            "a pixel of 360 m": re.sub("PixelSize2: .*", "PixelSize2: 360", text),
        }
        for what, changed in wrong.items():
            words = "" if what in ("a wavelength", "a distance", "numbers") else what
            with self.subTest(what=what), self.refused(ReadingError, "own.poni", words):
                own_images.read_geometry(self.poni(changed), self.reading)
        later = text + re.sub("Distance: .*", "Distance: 0.4", text)
        self.assertEqual(own_images.read_geometry(self.poni(later), self.reading).dist, 0.4)
        self.assertIn("the last of 2 geometries", str(self.reading))
        for path in (None, self.folder / "gone.poni", self.folder / "b.txt"):
            with self.subTest(path=path), self.assertRaises(ReadingError):
                own_images.read_geometry(path, self.reading)

    def test_an_image_of_another_detector_is_refused(self):
        detector = own_images.named_detector("Pilatus1M")
        for shape, words in {
            (981, 1043): "exchanged",
            (521, 490): "binned",
            (9, 9): "same",
        }.items():
            with self.refused(ReadingError, "1043 x 981", words):
                own_images.fits_detector(shape, detector, Place("a.edf"))
        with self.refused(ReadingError, "no such detector", "pilatus1m"):
            own_images.named_detector("Pilatus1N")
        for typed in (None, 3):
            with self.refused(ReadingError, "no text"):
                own_images.named_detector(typed)


class SmallAngles(Files):
    def header(self, transmission, photons="1e13", unit=None):
        header = {"Photons": photons, "Transmission": transmission}
        return own_images.read_header("sample.edf", header, self.reading, unit=unit)

    def test_transmission_is_a_part_of_one(self):
        for text, unit in (
            ("0.8165", None),
            ("81.65 %", None),
            ("81.65", "%"),
            ("81.65 percent", None),
        ):
            with self.subTest(text=text):
                self.assertAlmostEqual(self.header(text, unit=unit)[1], 0.8165)
        with self.refused(QuestionError, "sample.edf", "81.65", "TRANSMISSION_UNIT"):
            self.header("81.65")
        for text, unit in (
            ("0", None),
            ("-0.2", None),
            ("816.5", "%"),
            ("nan", None),
            ("", None),
            ("x", None),
        ):
            with self.subTest(text=text), self.assertRaises(ReadingError):
                self.header(text, unit=unit)
        for photons in ("0", "-1", "nan", "many", "1e13 /s", "1,5e13"):
            with self.subTest(photons=photons), self.refused(ReadingError, "hotons"):
                self.header("0.8", photons)
        with self.refused(ReadingError, "no Photons", "Comment"):
            own_images.read_header("a.edf", {"Comment": "", "Transmission": "1"}, self.reading)

    def test_capillaries_absorb(self):
        right = {"empty": 0.97, "water": 0.82, "sample": 0.817}
        own_images.in_order(right, Place("folder"))
        with self.refused(ReadingError, "through the empty"):
            own_images.in_order({**right, "empty": 0.5}, Place("folder"))

    def test_water_scatters_as_it_absorbs(self):
        right = {"empty": 0.97, "water": 0.97 * 0.846, "sample": 0.81}
        for thickness, energy, transmission, passed in (
            (0.1, 15.0, right, True),
            (0.001, 15.0, right, False),
            (0.1, 20.0, right, False),
            (0.1, 15.0, {**right, "water": 0.97 * 0.6}, False),
        ):
            checks = Checks("Water")
            consistency.judge_water(checks, thickness, transmission, energy)
            self.assertEqual(checks.passed, passed, str(checks))
        checks = Checks("Water")
        consistency.judge_water(checks, 0.1, {**right, "water": 0.965}, 15.0)
        self.assertIn(
            "could not be judged", checks.verdict.replace("No check could be", "could not be")
        )


class Stacks(Files):
    def write(self, **parts):
        path = self.folder / "stack.h5"
        with h5py.File(path, "w") as file:
            for name, values in parts.items():
                values, unit = values if isinstance(values, tuple) else (values, None)
                file[name] = values
                if unit is not None:
                    file[name].attrs["units"] = unit
        return path

    def test_axes_and_detector(self):
        with h5py.File(self.write(a=np.zeros((5, 9, 8), "u4"), b=np.zeros((1, 5, 9, 8)))) as file:
            own_images.check_stack(file, "a", (9, 8), self.reading)
            with self.refused(ReadingError, "4 axes"):
                own_images.check_stack(file, "b", (9, 8), self.reading)
            with self.refused(ReadingError, "9 x 8", "8 x 9"):
                own_images.check_stack(file, "a", (8, 9), self.reading)
            with self.refused(ReadingError, "c: found nothing", "There are a"):
                own_images.check_stack(file, "c", (9, 8), self.reading)

    def test_monitor_and_temperature(self):
        path = self.write(
            monitor=np.array([1, 0, np.nan, 2]),
            none=np.zeros(4),
            celsius=(np.array([20.0, 30, 40, 50]), "C"),
            bare=np.arange(4.0),
        )
        with h5py.File(path) as file:
            found = own_images.read_monitor(file, "monitor", 4, self.reading)
            self.assertEqual(list(np.isfinite(found)), [True, False, False, True])
            self.assertIn("2 of 4 frames", str(self.reading))
            with self.refused(ReadingError, "no monitor above 0"):
                own_images.read_monitor(file, "none", 4, self.reading)
            with self.refused(ReadingError, "5 frames", "4 monitor"):
                own_images.read_monitor(file, "monitor", 5, self.reading)
            how = {"unit": None, "parameter": "TEMPERATURE"}
            kelvin = own_images.read_along(file, "celsius", "K", 4, self.reading, **how)
            np.testing.assert_allclose(kelvin, [293.15, 303.15, 313.15, 323.15])
            with self.refused(QuestionError, "without a unit", "TEMPERATURE_UNIT"):
                own_images.read_along(file, "bare", "K", 4, self.reading, **how)

    def test_a_monitor_that_is_not_the_beams_makes_frames_jump(self):
        rng = np.random.default_rng(1)
        flux = 1 + 0.2 * rng.random(40)
        curve = 200 + 100 * np.sin(np.arange(300) / 20)
        counts = rng.poisson(flux[:, None] * curve)
        for monitor, passed in ((flux, True), (np.ones(40), False), (1 / flux, False)):
            checks = Checks("Frames")
            patterns, errors = counts / monitor[:, None], np.sqrt(counts) / monitor[:, None]
            consistency.judge_alternate(checks, patterns, errors)
            self.assertEqual(checks.passed, passed, str(checks))


if __name__ == "__main__":
    unittest.main()
