"""One file or folder per outside thing. Adapters translate and never decide; they know `bot`."""
