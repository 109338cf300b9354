"""The contract for whoever reads events, as files: JSON Schemas, AsyncAPI, golden events; made from the code."""
