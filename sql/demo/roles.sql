-- Twelve roles to be cast from the talents. Included by talents.sql.
--
-- The description is what a casting director would type; the filter holds what cannot be bargained over. Dates count
-- from the first day of the demo, so that availability and shoots belong to the same season.

INSERT INTO :demo_schema.roles (id, title, description, filter, shoot_starts)
SELECT id, title, description, filter, date :'first_day' + days
FROM (VALUES
    (1, 'Inspector Salunkhe, "Night Ferry"',
        'Stern police inspector, speaks Marathi, can ride a horse. Dry, exact and a little frightening, with one joke per episode.',
        '{"age": {"gte": 30, "lt": 56}, "city": {"eq": "Mumbai"}, "languages": {"contains": ["Marathi"]}}'::jsonb, 56),
    (2, 'Sharda, "Gas, Water, Love"',
        'Warm, funny mother in her forties who speaks Hindi and can dance. She runs a noisy household and nobody notices that she is tired.',
        '{"gender": "female", "age": {"gte": 38, "lt": 50}, "city": {"in": ["Mumbai", "Pune"]}, "languages": {"contains": ["Hindi"]}}', 63),
    (3, 'Bunty, "Wrong Platform"',
        'Comic sidekick with quick timing who can mimic people and tell a story in two languages.',
        '{"age": {"gte": 20, "lte": 40}, "languages": {"contains": ["Hindi"]}, "day_rate": {"lte": 40000}, "availability": {"ne": "BUSY"}}', 35),
    (4, 'Minister Deshprabhu, "The Reservoir"',
        'Corrupt politician, silver-tongued and ageing, who smiles before every threat. Commanding voice, good Marathi or Hindi.',
        '{"gender": "male", "age": {"gte": 48}, "languages": {"overlaps": ["Marathi", "Hindi"]}, "rating": {"gte": 4.0}}', 84),
    (5, 'Miss Tara, "One Room, Four Classes"',
        'Idealistic village schoolteacher who cycles to work and sings with the children. Gentle, stubborn, no glamour.',
        '{"gender": {"in": ["female", "non-binary"]}, "age": {"gte": 25, "lt": 45}, "years_experience": {"gte": 3}}', 70),
    (6, 'Vasundhara, "The Last Recital"',
        'Classical dancer at the end of a career, trained in kathak or bharatanatyam, with expressive eyes and a proud bearing.',
        '{"gender": "female", "age": {"gte": 28, "lte": 60}, "skills": {"overlaps": ["kathak", "bharatanatyam", "odissi"]}}', 119),
    (7, 'Raju, "Meter Down"',
        'Street-smart taxi driver of Mumbai who has an opinion on everything and becomes a witness. Real driving, Bambaiya humour.',
        '{"city": "Mumbai", "age": {"gte": 25, "lte": 55}, "languages": {"contains": ["Hindi", "Marathi"]}}', 42),
    (8, 'Captain Rathore, "The Salt Frontier"',
        'Cavalry officer of the 1850s: rides at full gallop, handles a sword, speaks little. Historical action film with long outdoor schedules.',
        '{"age": {"gte": 24, "lt": 45}, "skills": {"overlaps": ["horse riding", "sword fighting"]}}'::jsonb
            || jsonb_build_object('available_from', jsonb_build_object('lte', date :'first_day' + 90)), 105),
    (9, 'Meher, "Seed Round"',
        'Burnt-out tech founder who hides panic behind charm. Fluent English, modern look, can carry long monologues.',
        '{"age": {"gte": 24, "lte": 40}, "languages": {"contains": ["English"]}, "city": {"not_in": ["Kolkata", "Guwahati"]}}', 49),
    (10, 'Chotu, "The Fair"',
        'Lost child at a giant village fair, bright-eyed and not shy of a crowd. Should be able to sing or do small acrobatics.',
        '{"age": {"gte": 6, "lte": 11}, "city": {"is_null": false}, "languages": {"contains": ["Hindi"]}}', 91),
    (11, 'Sister Annamma, "Ward Nine"',
        'Tireless nurse from Kerala who keeps a flooded hospital going with jokes. Malayalam needed, Hindi welcome.',
        '{"gender": "female", "age": {"gte": 24, "lte": 50}, "languages": {"contains": ["Malayalam"]}, "day_rate": {"lt": 100000}}', 77),
    (12, 'Aaji, "Cards on Sunday"',
        'Sharp-tongued grandmother who cheats at cards and remembers everything. Marathi or Konkani, perfect comic timing.',
        '{"gender": "female", "age": {"gt": 57}, "languages": {"overlaps": ["Marathi", "Konkani"]}, "bio": {"ilike": "%grandmother%"}}', 98)
) AS part (id, title, description, filter, days);

SELECT setval(pg_get_serial_sequence(:'demo_schema' || '.roles', 'id'), 12) \gset demo_
