"""Shows what was compared in asserts of the suite that the package ships."""

from __future__ import annotations

import pytest

for _name in ("conformance", "conformance_faults", "conformance_polling", "conformance_sweeping"):
    pytest.register_assert_rewrite(f"headwater.connectors.base.testing.{_name}")
