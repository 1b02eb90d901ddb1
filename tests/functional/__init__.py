"""Tests of the whole application, as a browser or a program sees it."""
