"""The words that the API and the workers speak: pydantic models, enumerations and ids. No I/O."""
