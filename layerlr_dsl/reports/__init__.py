"""The JSON that commands print, as pydantic models; their schemas are published in `layerlr_dsl/schemas`."""
