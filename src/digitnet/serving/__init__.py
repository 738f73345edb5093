"""The service: the recogniser over HTTP, for programs and for the page (extra ``serve``)."""
