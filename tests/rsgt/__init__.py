"""Tests of rsgt: one file a module."""
