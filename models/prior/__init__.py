"""The bundled base model `mini`: its recipe (drawn surfaces, three training stages) and its weights."""
