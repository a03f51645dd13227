"""The HTTP API: one route table, Starlette under uvicorn."""
