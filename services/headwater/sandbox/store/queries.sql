-- Every statement that the fleet runs, by name. Parameters are positional, in the order written.

-- name: find_account
SELECT account_key, vendor, name, options FROM account WHERE vendor = ? AND name = ?;

-- name: list_accounts
SELECT vendor, name FROM account ORDER BY vendor, name;

-- name: create_account
INSERT INTO account (vendor, name, options) VALUES (?, ?, ?) RETURNING account_key;

-- name: save_options
UPDATE account SET options = ? WHERE account_key = ?;

-- name: next_number
SELECT next_number FROM account WHERE account_key = ?;

-- name: save_number
UPDATE account SET next_number = ? WHERE account_key = ?;

-- name: take_call
UPDATE account SET next_call = next_call + 1 WHERE account_key = ? RETURNING next_call - 1;

-- name: restart_numbers
UPDATE account SET next_number = 1, next_call = 1 WHERE account_key = ?;

-- name: find_record
SELECT record_id, fields, created_ms, updated_ms, archived FROM record
WHERE account_key = ? AND object = ? AND record_id = ?;

-- name: scan_records
SELECT record_id, fields, created_ms, updated_ms, archived FROM record
WHERE account_key = ? AND object = ? AND archived <= ? ORDER BY position;

-- name: range_records
SELECT record_id, fields, created_ms, updated_ms, archived FROM record
WHERE account_key = ? AND object = ? AND archived <= ?
    AND (length(record_id) > ? OR (length(record_id) = ? AND record_id > ?))
    AND (? = '' OR length(record_id) < ? OR (length(record_id) = ? AND record_id <= ?))
ORDER BY position;

-- name: changed_records
SELECT record_id, fields, created_ms, updated_ms, archived FROM record
WHERE account_key = ? AND object = ? AND updated_ms / 1000 BETWEEN ? AND ? AND archived <= ?
ORDER BY updated_ms / 1000, record_id;

-- name: page_records
SELECT record_id, fields, created_ms, updated_ms, archived FROM record
WHERE account_key = ? AND object = ? AND archived = ? AND position > coalesce(
    (SELECT after_record.position FROM record AS after_record
     WHERE after_record.account_key = ? AND after_record.object = ? AND after_record.record_id = ?), 0)
ORDER BY position LIMIT ?;

-- name: count_records
SELECT count(*) FROM record WHERE account_key = ? AND object = ? AND archived = 0;

-- name: insert_record
INSERT INTO record (account_key, object, record_id, fields, created_ms, updated_ms) VALUES (?, ?, ?, ?, ?, ?);

-- name: update_record
UPDATE record SET fields = ?, updated_ms = ? WHERE account_key = ? AND object = ? AND record_id = ?;

-- name: archive_record
UPDATE record SET archived = 1, updated_ms = ? WHERE account_key = ? AND object = ? AND record_id = ?;

-- name: erase_record
DELETE FROM record WHERE account_key = ? AND object = ? AND record_id = ?;

-- name: erase_lookups
DELETE FROM lookup WHERE account_key = ? AND object = ? AND record_id = ?;

-- name: find_lookup
SELECT record_id FROM lookup WHERE account_key = ? AND object = ? AND field = ? AND folded = ? ORDER BY record_id;

-- name: restore_record
UPDATE record SET fields = ?, archived = 0, updated_ms = ? WHERE account_key = ? AND object = ? AND record_id = ?;

-- name: insert_lookup
INSERT OR IGNORE INTO lookup (account_key, object, field, folded, record_id) VALUES (?, ?, ?, ?, ?);

-- name: delete_lookup
DELETE FROM lookup WHERE account_key = ? AND object = ? AND field = ? AND folded = ? AND record_id = ?;

-- name: insert_association
INSERT OR IGNORE INTO association (account_key, from_object, from_id, to_object, to_id, type_id, category)
VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: list_associations
SELECT to_id, type_id, category FROM association
WHERE account_key = ? AND from_object = ? AND from_id = ? AND to_object = ? ORDER BY to_id, type_id;

-- name: delete_association
DELETE FROM association
WHERE account_key = ? AND from_object = ? AND from_id = ? AND to_object = ? AND to_id = ?;

-- name: move_associations_from
INSERT OR IGNORE INTO association (account_key, from_object, from_id, to_object, to_id, type_id, category)
SELECT account_key, from_object, ?, to_object, to_id, type_id, category FROM association
WHERE account_key = ? AND from_object = ? AND from_id = ?;

-- name: move_associations_to
INSERT OR IGNORE INTO association (account_key, from_object, from_id, to_object, to_id, type_id, category)
SELECT account_key, from_object, from_id, to_object, ?, type_id, category FROM association
WHERE account_key = ? AND to_object = ? AND to_id = ?;

-- name: clear_associations_of
DELETE FROM association
WHERE account_key = ? AND ((from_object = ? AND from_id = ?) OR (to_object = ? AND to_id = ?));

-- name: dump_associations
SELECT from_object, from_id, to_object, to_id, type_id FROM association
WHERE account_key = ? AND from_object = ? ORDER BY from_id, to_object, to_id, type_id;

-- name: list_properties
SELECT object, name, definition FROM property WHERE account_key = ? ORDER BY object, name;

-- name: insert_property
INSERT INTO property (account_key, object, name, definition) VALUES (?, ?, ?, ?);

-- name: insert_token
INSERT OR REPLACE INTO token (token, account_key, expire_ms) VALUES (?, ?, ?);

-- name: find_token
SELECT expire_ms FROM token WHERE token = ? AND account_key = ?;

-- name: expire_tokens
UPDATE token SET expire_ms = ? WHERE account_key = ? AND expire_ms > ?;

-- name: insert_oauth_grant
INSERT INTO oauth_grant (token, account_key, kind, detail, expire_ms) VALUES (?, ?, ?, ?, ?);

-- name: find_oauth_grant
SELECT detail, expire_ms, used FROM oauth_grant WHERE token = ? AND account_key = ? AND kind = ?;

-- name: use_oauth_grant
INSERT INTO oauth_grant (token, account_key, kind, detail, expire_ms, used) VALUES (?, ?, ?, '{}', 0, 1)
ON CONFLICT (account_key, token) DO UPDATE SET used = 1;

-- name: insert_cursor
INSERT OR REPLACE INTO query_cursor (cursor_id, account_key, soql, record_ids) VALUES (?, ?, ?, ?);

-- name: trim_cursors
DELETE FROM query_cursor WHERE account_key = ? AND position NOT IN (
    SELECT kept.position FROM query_cursor AS kept WHERE kept.account_key = ? ORDER BY kept.position DESC LIMIT ?
);

-- name: find_cursor
SELECT soql, record_ids FROM query_cursor WHERE cursor_id = ? AND account_key = ?;

-- name: list_faults
SELECT definition, draws, fired FROM fault WHERE account_key = ? ORDER BY position;

-- name: insert_fault
INSERT INTO fault (account_key, position, definition, draws, fired) VALUES (?, ?, ?, 0, 0);

-- name: save_fault
UPDATE fault SET draws = ?, fired = ? WHERE account_key = ? AND position = ?;

-- name: insert_call
INSERT INTO call (account_key, number, arrival_ms, method, path, meter, verdict, fault, cost)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: recent_calls
SELECT arrival_ms, meter FROM call
WHERE account_key = ? AND verdict = 'admitted' AND arrival_ms > ? ORDER BY arrival_ms, number;

-- name: count_calls
SELECT verdict, fault, count(*) FROM call WHERE account_key = ? GROUP BY verdict, fault;

-- name: count_bulk_calls
SELECT count(*) FROM call WHERE account_key = ? AND verdict = 'admitted' AND path LIKE '%/jobs/ingest%';

-- name: count_calls_since
SELECT coalesce(sum(cost), 0) FROM call WHERE account_key = ? AND verdict = 'admitted' AND arrival_ms >= ?;

-- name: calls_by_second
SELECT arrival_ms / 1000, meter, verdict, count(*) FROM call WHERE account_key = ? GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- name: insert_arrival
INSERT INTO arrival (
    account_key, arrival_ms, object, operation, external_id, record_id, effect, changes, reason, request_id,
    traceparent, call_number
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: page_arrivals
SELECT sequence, arrival_ms, object, operation, external_id, record_id, effect, changes, reason, request_id,
    traceparent, call_number
FROM arrival WHERE account_key = ? AND sequence > ? ORDER BY sequence LIMIT ?;

-- name: latest_arrival
SELECT max(sequence) FROM arrival WHERE account_key = ?;

-- name: forgotten_arrival
SELECT max(sequence) FROM arrival WHERE account_key = ? AND arrival_ms < ?;

-- name: insert_bulk_job
INSERT INTO bulk_job (account_key, job_id, definition, state, created_ms, changed_ms, call_number)
VALUES (?, ?, ?, 'Open', ?, ?, ?);

-- name: find_bulk_job
SELECT job_id, definition, state, content IS NOT NULL, done, failed, message, created_ms, changed_ms, call_number
FROM bulk_job WHERE account_key = ? AND job_id = ?;

-- name: list_bulk_jobs
SELECT job_id, definition, state, content IS NOT NULL, done, failed, message, created_ms, changed_ms, call_number
FROM bulk_job WHERE account_key = ? ORDER BY position;

-- name: next_bulk_job
SELECT account_key, job_id FROM bulk_job WHERE state IN ('UploadComplete', 'InProgress') ORDER BY position LIMIT 1;

-- name: count_bulk_jobs_since
SELECT count(*) FROM bulk_job WHERE account_key = ? AND created_ms >= ? AND content IS NOT NULL;

-- name: read_bulk_content
SELECT content FROM bulk_job WHERE account_key = ? AND job_id = ?;

-- name: save_bulk_content
UPDATE bulk_job SET content = ?, changed_ms = ? WHERE account_key = ? AND job_id = ?;

-- name: save_bulk_state
UPDATE bulk_job SET state = ?, message = ?, changed_ms = ?, call_number = ? WHERE account_key = ? AND job_id = ?;

-- name: save_bulk_progress
UPDATE bulk_job SET state = ?, done = ?, failed = ?, message = ?, changed_ms = ? WHERE account_key = ? AND job_id = ?;

-- name: insert_bulk_row
INSERT INTO bulk_row (account_key, job_id, number, record_id, created, error) VALUES (?, ?, ?, ?, ?, ?);

-- name: list_bulk_rows
SELECT number, record_id, created, error FROM bulk_row WHERE account_key = ? AND job_id = ? ORDER BY number;

-- name: delete_bulk_rows
DELETE FROM bulk_row WHERE account_key = ? AND job_id = ?;

-- name: delete_bulk_job
DELETE FROM bulk_job WHERE account_key = ? AND job_id = ?;

-- name: find_account_by_key
SELECT vendor, name FROM account WHERE account_key = ?;

-- name: clear_bulk_rows
DELETE FROM bulk_row WHERE account_key = ?;

-- name: clear_bulk_jobs
DELETE FROM bulk_job WHERE account_key = ?;

-- name: clear_records
DELETE FROM record WHERE account_key = ?;

-- name: clear_lookups
DELETE FROM lookup WHERE account_key = ?;

-- name: clear_associations
DELETE FROM association WHERE account_key = ?;

-- name: clear_properties
DELETE FROM property WHERE account_key = ?;

-- name: clear_tokens
DELETE FROM token WHERE account_key = ?;

-- name: clear_oauth_grants
DELETE FROM oauth_grant WHERE account_key = ?;

-- name: clear_cursors
DELETE FROM query_cursor WHERE account_key = ?;

-- name: clear_faults
DELETE FROM fault WHERE account_key = ?;

-- name: clear_calls
DELETE FROM call WHERE account_key = ?;

-- name: clear_arrivals
DELETE FROM arrival WHERE account_key = ?;
