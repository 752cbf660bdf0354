"""Everything that Headwater needs around Postgres and that belongs to no service.

Owns: the embedded server, the choice of server, connection pools and their codecs, migrations,
named SQL, and the checks that a server is new enough and durable. Must not know a table of any
service, nor any rule of the business.
"""
