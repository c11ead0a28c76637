-- A node that ended in order, or whose process died, keeps its row for as long as it may come back.
ALTER TABLE node_files ADD COLUMN gone INTEGER NOT NULL DEFAULT 0 CHECK (gone IN (0, 1));
