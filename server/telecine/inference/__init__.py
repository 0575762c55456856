"""The one room that speaks to Triton."""
