"""What every reader of somebody's own files needs: units, choices, refusals, a record.

These need nothing but Python. `workbench.readings.arrays` needs NumPy, `workbench.readings.hdf5`
h5py; both are imported by name, where a use case has them.
"""

from .choices import chosen, fraction, named, plausible
from .reading import Reading
from .refusals import Place, QuestionError, ReadingError, refusing
from .units import Conversion, conversion, quantity, quantity_of_text

__all__ = [
    "Conversion",
    "Place",
    "QuestionError",
    "Reading",
    "ReadingError",
    "chosen",
    "conversion",
    "fraction",
    "named",
    "plausible",
    "quantity",
    "quantity_of_text",
    "refusing",
]
