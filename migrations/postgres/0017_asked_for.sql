-- Whether a person asked for a dispatch by itself: it is sent whatever its endpoint wants by now.
ALTER TABLE dispatches ADD COLUMN is_asked_for BIGINT NOT NULL DEFAULT 0;
