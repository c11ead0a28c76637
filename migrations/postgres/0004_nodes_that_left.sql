-- A node that ended in order, or whose process died, keeps its row for as long as it may come back.
ALTER TABLE node_files ADD COLUMN gone BIGINT NOT NULL DEFAULT 0 CHECK (gone IN (0, 1));
ALTER TABLE node_files DROP CONSTRAINT node_files_node_id_fkey;
ALTER TABLE node_files ADD FOREIGN KEY (node_id) REFERENCES nodes (id) ON DELETE SET NULL;
