"""Pictures in and out: the only place that changes value range, layout or size."""
