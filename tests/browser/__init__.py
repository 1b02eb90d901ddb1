"""Tests in a real browser.

What a cookie does is decided there, and nowhere else.
"""
