"""The page: what a person does with the service in a browser, rendered here, over the use cases that the API has."""
