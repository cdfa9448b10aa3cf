"""Sounds to be played, each under its spectrogram."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from prunelab.core.image_files import png
from prunelab.core.previews import SOUNDS, Preview
from prunelab.core.waveforms import FULL_SCALE, to_wav

HEADING = "Same seeds, to be heard"
WINDOW, HOP = 256, 64  # samples, of the drawn spectrograms
RANGE = 60  # dB below a full-scale sine that a drawing shows
DRAWING = (128, 96)  # pixels, width and height


def sounds(
    state: str, label: str, waveforms: NDArray[np.int16], rate: int, captions: Sequence[str]
) -> Preview:
    """Sounds of one model, int16 of shape (n, channels, samples), ``rate`` samples per second."""
    assert waveforms.dtype == np.int16, f"sounds are int16, not {waveforms.dtype}"
    assert waveforms.ndim == 3, f"sounds have shape (n, c, samples), not {waveforms.shape}"
    stills = [png(spectrogram(waveform, rate)) for waveform in waveforms]
    played = [to_wav(waveform, rate) for waveform in waveforms]
    return Preview(state, label, list(captions), stills, played, "audio/wav", SOUNDS, HEADING)


def spectrogram(waveform: NDArray[np.int16], rate: int) -> NDArray[np.uint8]:
    """A drawing of int16 samples (channels, samples), uint8 (height, width, 3): high frequencies on top."""
    mono = waveform.astype(np.float64).mean(axis=0) / FULL_SCALE
    from scipy.signal import ShortTimeFFT  # takes seconds
    from scipy.signal.windows import hann

    window = hann(WINDOW, sym=False)
    spectrum = np.abs(ShortTimeFFT(window, HOP, rate).stft(mono)) / (window.sum() / 2)
    decibels = 20 * np.log10(np.maximum(spectrum, 10 ** (-RANGE / 20)))
    shades = matplotlib.colormaps["magma"](1 + decibels[::-1] / RANGE, bytes=True)[..., :3]
    return np.asarray(Image.fromarray(np.ascontiguousarray(shades)).resize(DRAWING))
