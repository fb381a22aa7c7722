#!/usr/bin/env python3
"""Writes embeddings.jsonl: varied texts and their vectors as sentence-transformers computes them.

The file is checked in; run this only to change the texts or to check against a newer reference:

    python3 -m venv venv && venv/bin/pip install torch sentence-transformers
    HF_HUB_OFFLINE=1 venv/bin/python tests/golden/make_embeddings.py MODEL_DIR/all-MiniLM-L6-v2

One JSON object per line: name; text; repeat (the text is that many copies of `text`, to keep the file small);
tokens (of the whole text, special tokens included, before truncation); vector (seven significant digits).
The test crates/engine/tests/golden_embeddings.rs reads it.
"""

import json
import pathlib
import sys
import unicodedata

PROSE = (
    "The company rehearsed in a disused mill on the edge of the town. Nobody had thought to turn the heating on, and "
    "the older actors kept their coats. At eleven the director asked for silence, read the first page aloud without "
    "expression, and then asked each of them what the mother wanted in the scene. "
)
PARAGRAPH = (
    "A matching system ranks what it holds against what it is asked for. It reads the description, turns it into a "
    "vector, and looks for the nearest neighbours of that vector among the rows of a table; the filters that the "
    "caller gave are applied inside the search, so that no row which fails them is ever returned, however near. "
)

TEXTS = [
    ("empty", ""),
    ("one space", " "),
    ("white space of many kinds", " \t\n\r\u00a0\u2003\u3000\u2028 "),
    ("one letter", "a"),
    ("one full stop", "."),
    ("one unknown character", "\u0e01\U00013000"),
    ("two words", "hello world"),
    ("short sentence", "A warm, funny mother in her forties who speaks Hindi and can dance."),
    ("question", "Who is available in March and can ride a horse?"),
    ("upper case", "LOOKING FOR A STUNT PERFORMER, LONDON, MUST DRIVE"),
    ("mixed case and accents", "Élodie Müller-Ångström naïvely sautéed jalapeños à la carte in São Paulo"),
    ("accents decomposed", unicodedata.normalize("NFD", "Élodie Müller-Ångström naïvely sautéed jalapeños")),
    ("stacked combining marks", "Z\u0351\u036b\u0343a\u0321\u0353l\u0336g\u0489o\u035f \u0301\u0301 text"),
    ("prose", PROSE),
    ("paragraph", PARAGRAPH),
    ("prose and paragraph", PROSE + PARAGRAPH),
    ("punctuation only", "?!... --- ;;; ((())) [[]] {{}} \"\" '' `` ~~ @@ ## $$ %% ^^ && **"),
    ("typographic punctuation", "“Curly” ‘quotes’ — dashes – and… ellipses «guillemets» ‹single› „low“"),
    ("special tokens in the text", "before [SEP] between [CLS] and [MASK] [PAD] [UNK] after"),
    ("subword marks in the text", "##ing ##ed un##able play ##er"),
    ("digits", "3.14159 2,718,281 007 1e-12 0xDEADBEEF +44 20 7946 0958 2026-11-23T05:37:03Z ½ ² ٣٤٥ 四十二"),
    ("url", "https://www.example.org/a/b-c_d/?q=dance%20class&lang=hi&page=2#results or mail casting@example.org"),
    ("rust", "fn main() { let xs: Vec<_> = (0..10).map(|x| x * 2).collect(); println!(\"{xs:?}\"); }"),
    ("sql", "SELECT key, score FROM castmatch.match('talents', 'warm mother', k => 10) WHERE score >= 0.5;"),
    ("json", '{"gender": "female", "age": {"gte": 38, "lt": 50}, "city": {"in": ["Mumbai", "Pune"]}}'),
    ("html", "<p class=\"bio\">Trained at <b>RADA</b> &amp; LAMDA.<br/>Sings&nbsp;alto.</p>"),
    ("hindi", "चालीस के आसपास की एक गर्मजोशी भरी माँ, जो हिंदी बोलती है और नाच सकती है"),
    ("marathi", "मुंबईतील अभिनेत्री, वय पस्तीस, लावणी नृत्य आणि घोडेस्वारी येते"),
    ("tamil", "நாற்பது வயது தாய், நகைச்சுவை உணர்வு, பரதநாட்டியம் ஆடத் தெரியும்"),
    ("bengali", "কলকাতার একজন অভিনেতা যিনি গান গাইতে পারেন এবং তিনটি ভাষা জানেন"),
    ("telugu", "హైదరాబాద్ నుండి నటి, కూచిపూడి నృత్యం, నాలుగు భాషలు"),
    ("gujarati", "અમદાવાદના અભિનેતા, ગરબા અને નાટક"),
    ("arabic", "ممثلة في الأربعين من عمرها تتحدث العربية والفرنسية وتجيد الرقص"),
    ("arabic with marks", "اَلسَّلَامُ عَلَيْكُمْ وَرَحْمَةُ ٱللَّٰهِ"),
    ("hebrew", "שחקנית בת ארבעים, דוברת עברית ואנגלית, רוקדת"),
    ("persian", "بازیگر زن چهل ساله که می‌تواند برقصد و آواز بخواند"),
    ("urdu", "ایک مزاحیہ ماں جو اردو بولتی ہے"),
    ("chinese", "四十多岁温暖风趣的母亲，会说印地语，会跳舞，三月有空。"),
    ("chinese traditional", "臺北的女演員，三十五歲，會騎馬和唱歌劇"),
    ("chinese long", "导演在一座废弃的磨坊里排练。没有人想到打开暖气，年长的演员都穿着大衣。" * 12),
    ("japanese", "四十代の温かくて面白い母親役、ヒンディー語が話せて踊れる方を探しています。"),
    ("japanese katakana", "スタントマン、バイク、スキューバダイビング、ﾊﾝｶｸ"),
    ("korean", "힌디어를 하고 춤을 출 수 있는 따뜻하고 재미있는 사십대 어머니"),
    ("korean decomposed", unicodedata.normalize("NFD", "춤을 출 수 있는 어머니")),
    ("thai", "นักแสดงหญิงอายุสี่สิบปี พูดภาษาไทยและเต้นรำได้"),
    ("russian", "Тёплая, весёлая мать лет сорока, говорит на хинди и умеет танцевать"),
    ("ukrainian", "Акторка з Києва, їздить верхи, співає українською та англійською"),
    ("greek", "Μια ζεστή, αστεία μητέρα γύρω στα σαράντα που μιλάει ελληνικά και χορεύει ΣΊΣΥΦΟΣ"),
    ("turkish", "İstanbul'da yaşayan, Iğdır doğumlu, dans edebilen kırk yaşında oyuncu"),
    ("vietnamese", "Diễn viên nữ bốn mươi tuổi, nói tiếng Việt, biết múa và cưỡi ngựa"),
    ("georgian and armenian", "მსახიობი თბილისიდან, ԴԵՐԱՍԱՆ Երևանից"),
    ("amharic", "የአርባ ዓመት እናት፣ ዳንስ የምትችል"),
    ("scripts mixed", "Dancer танцор 舞者 नर्तक راقص ダンサー 댄서 χορευτής நடனக் கலைஞர் in one line"),
    ("emoji", "love it 😍🎉🔥 10/10 would cast again 👍🏽 🇮🇳🇬🇧"),
    ("emoji joined", "family 👨‍👩‍👧‍👦 pilot 👩🏾‍✈️ flag 🏳️‍🌈 heart ❤️‍🔥 keycap 5️⃣"),
    ("emoji only", "🎭🎬🎤💃🕺🎻"),
    ("mathematics", "∀x∈ℝ: ∫₀^∞ e^{-x²} dx = √π/2 ≈ 0.886 ⇒ 𝔼[X] ≤ σ²; 𝓯𝓪𝓷𝓬𝔂 𝖙𝖊𝖝𝖙 ﬁne ﬂow Ⅻ ㎏"),
    ("control characters", "tab\tbell\x07escape\x1b[31mred\x1b[0m\x7f null-free \x01\x02 unit\x1fseparator\x85next"),
    ("zero width and direction", "zero\u200bwidth\u200cnon\u200djoiner\ufeffbom \u202eright to left\u202c soft\u00adhyphen"),
    ("replacement and private use", "broken \ufffd\ufffd text \ue000\uf8ff \U000f0000 \ufdd0"),
    ("line ends", "first line\nsecond line\r\nthird line\r\r\nfourth\u2028fifth\u2029sixth\x0bseventh\x0ceighth"),
    ("word of 100 letters", "supercalifragilistic" * 5 + " end"),
    ("word of 101 letters", "supercalifragilistic" * 5 + "s end"),
    ("contractions", "I can't won't shouldn't've y'all'd've o'clock rock'n'roll 'tis"),
    ("hyphens and slashes", "mother-in-law state-of-the-art and/or he/she actor/singer/dancer Jean-Luc"),
    ("repeated word", "dance " * 60),
    ("casting bio", "Born in Pune in 1984, Asha trained in Bharatanatyam for twelve years before she joined the National "
     "School of Drama. Credits: three seasons of a hospital series, two features, and a one-woman show that toured "
     "nine cities. Languages: Marathi (native), Hindi, English, some Tamil. Skills: horse riding, mezzo-soprano, "
     "comedy, stage combat. Based in Mumbai; available from March."),
]

# (name, text, repeat): too long to be written out.
LONG = [
    ("single word of 5000 letters", "x", 5_000),
    ("5000 letters between words", "before " + "y" * 5_000 + " after", 1),
    ("very long prose", PROSE, 250),
    ("very long hindi", "एक गर्मजोशी भरी माँ जो नाच सकती है। ", 1_500),
    ("very long chinese without spaces", "导演在一座废弃的磨坊里排练", 2_000),
    ("very long punctuation", "?!", 20_000),
    ("very long emoji", "😍👩🏾‍✈️ ", 3_000),
    ("100000 spaces, then text", " ", 100_000),
    ("spaces around text", "          a word far from the next          ", 400),
    ("very long base64", "TWFueSBoYW5kcyBtYWtlIGxpZ2h0IHdvcmsu/+", 2_000),
]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(sys.argv[1], device="cpu")
    tokenizer = model.tokenizer

    def tokens(text):
        return len(tokenizer(text, truncation=False, verbose=False)["input_ids"])

    cases = [(name, text, 1) for name, text in TEXTS] + LONG
    # Around the limit of 256: "word" is one token, [CLS] and [SEP] are two more.
    for length in (254, 255, 256, 257, 258):
        text = "word " * (length - 2)
        assert tokens(text) == length
        cases.append((f"exactly {length} tokens", "word ", length - 2))
    mixed = (PROSE + PARAGRAPH) * 4
    for length in (255, 256, 257):
        words = mixed.split()
        while tokens(" ".join(words)) > length:
            words.pop()
        text = " ".join(words)
        text += " a" * (length - tokens(text))
        assert tokens(text) == length
        cases.append((f"prose of exactly {length} tokens", text, 1))

    names = [name for name, _, _ in cases]
    assert len(set(names)) == len(names) >= 60

    target = pathlib.Path(__file__).with_name("embeddings.jsonl")
    with target.open("w", encoding="ascii") as lines:
        for name, text, repeat in cases:
            whole = text * repeat
            # One text at a time: no padding, so nothing but the text decides the numbers.
            vector = model.encode([whole], batch_size=1, show_progress_bar=False)[0]
            line = {"name": name, "text": text, "repeat": repeat, "tokens": tokens(whole)}
            numbers = ",".join(f"{float(x):.7g}" for x in vector)
            lines.write(json.dumps(line)[:-1] + f', "vector": [{numbers}]}}\n')
    print(f"{len(cases)} texts, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
