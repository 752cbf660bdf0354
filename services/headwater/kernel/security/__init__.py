"""Who calls, what they may do, and how the line is kept private; knows no service and no transport.

Three ways to say who one is (`certificates`, `jwt`, `tokens`) lead to one `Principal`; one table (`table`) says what
each method asks for; `Security` is both put together from settings. Must not decide anything about data.
"""
