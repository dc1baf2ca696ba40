"""``defectsynth demo``: the main job from images to report, over HTTP, as a client would do it."""
