-- Refused calls, for the audit: through the function that sync's schema publishes.

-- name: note_denials
-- Write refused calls into the audit of their callers' tenants.
-- $1 text[]: tenants. $2 text[]: subjects. $3 text[]: methods. $4 text[]: reasons. $5 text[]: tenants that were named, or
-- empty. $6 bigint[]: how often.
SELECT sync.note_denials($1::text [], $2::text [], $3::text [], $4::text [], $5::text [], $6::bigint [])
