"""The edge to the API server: client, watches and writes, all in one asyncio loop."""
