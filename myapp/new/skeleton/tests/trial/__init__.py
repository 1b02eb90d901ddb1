"""Tests of this part; they go with its folder."""
