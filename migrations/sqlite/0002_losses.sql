-- How often a job was lost together with whoever worked on it: what takes its worker down again and again must end some
-- time, while one that was given back in good order may go on as often as it takes.

ALTER TABLE jobs ADD COLUMN losses INTEGER NOT NULL DEFAULT 0;
