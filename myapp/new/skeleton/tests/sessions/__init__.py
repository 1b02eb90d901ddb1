"""Tests of this part; delete them together with its folder."""
