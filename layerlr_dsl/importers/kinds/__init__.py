"""One module a tool. A further one is a file here with KIND, ABOUT, `recognizes` and `describe`."""
