"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# A busy machine is slow and not wrong: no example fails for the time it took.
settings.register_profile("steady", settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("steady")
