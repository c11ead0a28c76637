-- What the way back knows of a link: JSON as in `agreed`, of the shop's fields, and which writes it saw lately.
ALTER TABLE links ADD COLUMN agreed_out TEXT;
-- JSON: an array of [time, fields] of the writes of the last minutes, on either side.
ALTER TABLE links ADD COLUMN writes TEXT;
