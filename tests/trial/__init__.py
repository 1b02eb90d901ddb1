"""Tests of the page to try sessions on; they go when `myapp/trial` goes."""
