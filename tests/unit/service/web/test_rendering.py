"""Words of the API in HTML."""

from service.web.rendering import coded


def test_what_is_to_be_typed_stands_out_and_the_rest_is_only_text() -> None:
    assert coded("Run `go <x>` & <b>wait</b>.") == "Run <code>go &lt;x&gt;</code> &amp; &lt;b&gt;wait&lt;/b&gt;."
    assert coded("one ` alone") == "one ` alone"
