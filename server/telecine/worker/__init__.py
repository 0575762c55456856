"""The pod's process: claims videos, drives Triton slice by slice, and finishes them."""
