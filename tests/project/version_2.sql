-- A project as version 2 of the file wrote it, `.dump` of SQLite; tests/project/test_migrations.py opens it.
BEGIN TRANSACTION;
CREATE TABLE change (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	step_id INTEGER NOT NULL,
	image_id INTEGER NOT NULL,
	slice INTEGER NOT NULL,
	kind VARCHAR NOT NULL,
	object VARCHAR NOT NULL,
	present BOOLEAN NOT NULL,
	size FLOAT,
	y FLOAT,
	x FLOAT,
	labels_id INTEGER,
	"before" INTEGER,
	origin INTEGER,
	entered FLOAT,
	unit VARCHAR,
	FOREIGN KEY(step_id) REFERENCES step (id),
	FOREIGN KEY(image_id) REFERENCES image (id),
	FOREIGN KEY(labels_id) REFERENCES labels (id),
	FOREIGN KEY("before") REFERENCES change (id)
);
INSERT INTO "change" VALUES(1,2,1,0,'stamp','x',1,2.0,1.0,2.0,NULL,NULL,NULL,1.2,'mm');
INSERT INTO "change" VALUES(2,3,1,0,'stamp','y',1,4.0,NULL,NULL,NULL,NULL,NULL,4.0,'px');
INSERT INTO "change" VALUES(3,4,1,0,'mask','',1,NULL,NULL,NULL,1,NULL,NULL,NULL,NULL);
INSERT INTO "change" VALUES(4,5,1,0,'stamp','x',1,4.0,1.5,2.5,NULL,1,NULL,4.0,'px');
INSERT INTO "change" VALUES(5,6,1,0,'stamp','x',1,2.0,1.0,2.0,NULL,4,1,1.2,'mm');
INSERT INTO "change" VALUES(6,7,1,1,'no_object','',1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "change" VALUES(7,8,1,2,'skip','',1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "change" VALUES(8,9,1,0,'stamp','y',0,NULL,NULL,NULL,NULL,2,NULL,NULL,NULL);
CREATE TABLE image (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	name VARCHAR NOT NULL,
	path VARCHAR NOT NULL,
	sha256 VARCHAR NOT NULL,
	planes INTEGER NOT NULL,
	channels INTEGER NOT NULL,
	height INTEGER NOT NULL,
	width INTEGER NOT NULL,
	dtype VARCHAR NOT NULL,
	spacing_z FLOAT NOT NULL,
	spacing_y FLOAT NOT NULL,
	spacing_x FLOAT NOT NULL,
	unit VARCHAR NOT NULL,
	"group" VARCHAR NOT NULL,
	split VARCHAR NOT NULL,
	rgb BOOLEAN NOT NULL,
	removed BOOLEAN NOT NULL,
	warnings VARCHAR DEFAULT '[]' NOT NULL,
	file_bytes INTEGER DEFAULT '-1' NOT NULL,
	file_time INTEGER DEFAULT '-1' NOT NULL
);
INSERT INTO "image" VALUES(1,'a','images/a.tif','of the file',3,1,3,4,'uint8',2.0,0.5,0.5,'mm','a','train',0,0,'[]',-1,-1);
CREATE TABLE item (
	image_id INTEGER NOT NULL,
	slice INTEGER NOT NULL,
	kind VARCHAR NOT NULL,
	object VARCHAR NOT NULL,
	present BOOLEAN NOT NULL,
	change_id INTEGER NOT NULL,
	first_id INTEGER NOT NULL,
	PRIMARY KEY (image_id, slice, kind, object),
	FOREIGN KEY(image_id) REFERENCES image (id),
	FOREIGN KEY(change_id) REFERENCES change (id)
)
 WITHOUT ROWID
;
INSERT INTO "item" VALUES(1,0,'mask','',1,3,3);
INSERT INTO "item" VALUES(1,0,'stamp','x',1,5,1);
INSERT INTO "item" VALUES(1,0,'stamp','y',0,8,2);
INSERT INTO "item" VALUES(1,1,'no_object','',1,6,6);
INSERT INTO "item" VALUES(1,2,'skip','',1,7,7);
CREATE TABLE labels (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	data BLOB NOT NULL
);
INSERT INTO "labels" VALUES(1,X'78016364C0048C98420C30310000840004');
CREATE TABLE meta (
	"key" VARCHAR NOT NULL,
	value VARCHAR NOT NULL,
	PRIMARY KEY ("key")
);
INSERT INTO "meta" VALUES('name','old');
INSERT INTO "meta" VALUES('schema_version','2');
CREATE TABLE model (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	path VARCHAR NOT NULL,
	stage VARCHAR NOT NULL,
	metrics VARCHAR NOT NULL,
	config VARCHAR NOT NULL,
	created FLOAT NOT NULL,
	promoted INTEGER
);
CREATE TABLE session (
	id VARCHAR NOT NULL,
	host VARCHAR NOT NULL,
	process INTEGER NOT NULL,
	process_started FLOAT NOT NULL,
	ended FLOAT,
	PRIMARY KEY (id)
);
INSERT INTO "session" VALUES('s','elsewhere',1,0.0,1.0);
CREATE TABLE step (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	session VARCHAR NOT NULL,
	kind VARCHAR NOT NULL,
	label VARCHAR NOT NULL,
	reverts INTEGER,
	created FLOAT NOT NULL,
	FOREIGN KEY(session) REFERENCES session (id),
	FOREIGN KEY(reverts) REFERENCES step (id)
);
INSERT INTO "step" VALUES(1,'s','project','Added images',NULL,0.0);
INSERT INTO "step" VALUES(2,'s','do','Size 2 px on a, plane 0',NULL,0.0);
INSERT INTO "step" VALUES(3,'s','do','Size 4 px on a, plane 0',NULL,0.0);
INSERT INTO "step" VALUES(4,'s','do','Mask on a, plane 0',NULL,0.0);
INSERT INTO "step" VALUES(5,'s','do','Size 4 px on a, plane 0',NULL,0.0);
INSERT INTO "step" VALUES(6,'s','undo','Size 4 px on a, plane 0',5,0.0);
INSERT INTO "step" VALUES(7,'s','do','No object on a, plane 1',NULL,0.0);
INSERT INTO "step" VALUES(8,'s','do','Skipped a, plane 2',NULL,0.0);
INSERT INTO "step" VALUES(9,'s','do','Deleted a size on a, plane 0',NULL,0.0);
CREATE TRIGGER labels_keeps_update BEFORE UPDATE ON labels BEGIN SELECT RAISE(ABORT, 'the history of a project only grows'); END;
CREATE TRIGGER labels_keeps_delete BEFORE DELETE ON labels BEGIN SELECT RAISE(ABORT, 'the history of a project only grows'); END;
CREATE TRIGGER step_keeps_update BEFORE UPDATE ON step BEGIN SELECT RAISE(ABORT, 'the history of a project only grows'); END;
CREATE TRIGGER step_keeps_delete BEFORE DELETE ON step BEGIN SELECT RAISE(ABORT, 'the history of a project only grows'); END;
CREATE INDEX ix_change_step_id ON change (step_id);
CREATE TRIGGER change_keeps_update BEFORE UPDATE ON change BEGIN SELECT RAISE(ABORT, 'the history of a project only grows'); END;
CREATE TRIGGER change_keeps_delete BEFORE DELETE ON change BEGIN SELECT RAISE(ABORT, 'the history of a project only grows'); END;
CREATE INDEX item_present ON item (present, kind);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('step',9);
INSERT INTO "sqlite_sequence" VALUES('image',1);
INSERT INTO "sqlite_sequence" VALUES('change',8);
INSERT INTO "sqlite_sequence" VALUES('labels',1);
COMMIT;
