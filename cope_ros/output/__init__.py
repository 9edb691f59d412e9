"""Publishers, messages, markers and the debug image."""
