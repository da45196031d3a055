"""Where the letters of each language lie on its keyboard. The tables are written by tools/keyboards.py.

From the symbols of xkb-data 2.35.1-1 (X Keyboard Configuration Database), which is under terms such as these:

    Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
    documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
    rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to
    permit persons to whom the Software is furnished to do so, subject to the following conditions:

    The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
    Software.

    THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
    WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE COPYRIGHT
    HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
    ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.

    Copyright 1996 by Joseph Moss
    Copyright (C) 2002-2007 Free Software Foundation, Inc.
    Copyright (C) Dmitry Golubev <lastguru@mail.ru>, 2003-2004
    Copyright (C) 2004, Gregory Mokhin <mokhin@bog.msu.ru>
    Copyright (C) 2006 Erdal Ronahî
    Copyright (c) 1996  Digital Equipment Corporation
    Copyright 1996, 1998  The Open Group
    Copyright 2004-2005 Sun Microsystems, Inc.  All rights reserved.
    Copyright (c) 1996 by Silicon Graphics Computer Systems, Inc.
    Copyright (c) 1996  X Consortium
    Copyright (C) 2004, 2006 Ævar Arnfjörð Bjarmason <avarab@gmail.com>
    Copyright (C) 1999, 2000 by Anton Zinoviev <anton@lml.bas.bg>
"""

Rows = tuple[tuple[str, str], ...]

# Layout -> its rows, number row first: the letters of the keys from left to right, then those with Shift; a blank where
# a key has no letter or mark of the script. The rows begin at `, Q, A and the key between Shift and Z.
ROWS: dict[str, Rows] = {
    "za": (
        ("", ""),
        ("qwertyuiop", "QWERTYUIOP"),
        ("asdfghjkl", "ASDFGHJKL"),
        (" zxcvbnm", " ZXCVBNM"),
    ),
    "ara": (
        ("\u0630", "\u0651"),
        ("\u0636\u0635\u062b\u0642\u0641\u063a\u0639\u0647\u062e\u062d\u062c\u062f", "\u064e\u064b\u064f\u064c \u0625"),
        ("\u0634\u0633\u064a\u0628\u0644\u0627\u062a\u0646\u0645\u0643\u0637", "\u0650\u064d   \u0623"),
        (" \u0626\u0621\u0624\u0631 \u0649\u0629\u0648\u0632\u0638", "  \u0652   \u0622"),
    ),
    "az": (
        ("", ""),
        ("qüertyuiopöğ", "QÜERTYUİOPÖĞ"),
        ("asdfghjklıə", "ASDFGHJKLIƏ"),
        (" zxcvbnmçş", " ZXCVBNMÇŞ"),
    ),
    "bg": (
        ("", ""),
        (" уеишщксдзц", "ыУЕИШЩКСДЗЦ"),
        ("ьяаожгтнвмч", "ѝЯАОЖГТНВМЧ"),
        ("ѝюйъэфхпрлб", "ЍЮЙЪЭФХПРЛБ"),
    ),
    "in(ben)": (
        ("            ঋ", "           \u0983\u09c3"),
        ("\u09cc\u09c8\u09be\u09c0\u09c2বহগদজড\u09bc", "ঔঐআঈঊভঙঘধঝঢঞ"),
        ("\u09cb\u09c7\u09cd\u09bf\u09c1পরকতচট", "ওএঅইউফ খথছঠ"),
        ("  \u0982মনবলস", "  \u0981ণনবলশষ য"),
    ),
    "de": (
        ("           ß", ""),
        ("qwertzuiopü", "QWERTZUIOPÜ"),
        ("asdfghjklöä", "ASDFGHJKLÖÄ"),
        (" yxcvbnm", " YXCVBNM"),
    ),
    "gr": (
        ("", ""),
        (" ςερτυθιοπ", " ΣΕΡΤΥΘΙΟΠ"),
        ("ασδφγηξκλ", "ΑΣΔΦΓΗΞΚΛ"),
        (" ζχψωβνμ", " ΖΧΨΩΒΝΜ"),
    ),
    "us": (
        ("", ""),
        ("qwertyuiop", "QWERTYUIOP"),
        ("asdfghjkl", "ASDFGHJKL"),
        (" zxcvbnm", " ZXCVBNM"),
    ),
    "es": (
        ("", ""),
        ("qwertyuiop", "QWERTYUIOP"),
        ("asdfghjklñ ç", "ASDFGHJKLÑ Ç"),
        (" zxcvbnm", " ZXCVBNM"),
    ),
    "ee": (
        ("", ""),
        ("qwertyuiopüõ", "QWERTYUIOPÜÕ"),
        ("asdfghjklöä", "ASDFGHJKLÖÄ"),
        (" zxcvbnm", " ZXCVBNM"),
    ),
    "ir": (
        ("", ""),
        (
            "\u0636\u0635\u062b\u0642\u0641\u063a\u0639\u0647\u062e\u062d\u062c\u0686",
            "\u0652\u064c\u064d\u064b\u064f\u0650\u064e\u0651",
        ),
        (
            "\u0634\u0633\u06cc\u0628\u0644\u0627\u062a\u0646\u0645\u06a9\u06af",
            "\u0624\u0626\u064a\u0625\u0623\u0622\u0629",
        ),
        (" \u0638\u0637\u0632\u0631\u0630\u062f\u067e\u0648", " \u0643\u0653\u0698\u0670 \u0654\u0621"),
    ),
    "fi": (
        ("", ""),
        ("qwertyuiopå", "QWERTYUIOPÅ"),
        ("asdfghjklöä", "ASDFGHJKLÖÄ"),
        (" zxcvbnm", " ZXCVBNM"),
    ),
    "fr": (
        ("  é    è çà", ""),
        ("azertyuiop", "AZERTYUIOP"),
        ("qsdfghjklmù", "QSDFGHJKLM"),
        (" wxcvbn", " WXCVBN"),
    ),
    "in(guj)": (
        ("            ઋ", " ઍ\u0ac5        \u0a83\u0ac3"),
        ("\u0acc\u0ac8\u0abe\u0ac0\u0ac2બહગદજડ\u0abc", "ઔઐઆઈઊભઙઘધઝઢઞ"),
        ("\u0acb\u0ac7\u0acd\u0abf\u0ac1પરકતચટ\u0ac9", "ઓએઅઇઉફરખથછઠઑ"),
        ("  \u0a82મનવલસ  ય", "  \u0a81ણનવળશષ"),
    ),
    "il": (
        ("", ""),
        ("  \u05e7\u05e8\u05d0\u05d8\u05d5\u05df\u05dd\u05e4", ""),
        ("\u05e9\u05d3\u05d2\u05db\u05e2\u05d9\u05d7\u05dc\u05da\u05e3", ""),
        (" \u05d6\u05e1\u05d1\u05d4\u05e0\u05de\u05e6\u05ea\u05e5", ""),
    ),
    "in(deva)": (
        ("\u094a           \u0943", "ऒऍ\u0945        \u0903ऋ"),
        ("\u094c\u0948\u093e\u0940\u0942बहगदजड\u093c", "औऐआईऊभङघधझढञ"),
        ("\u094b\u0947\u094d\u093f\u0941परकतचट\u0949", "ओएअइउफऱखथछठऑ"),
        (" \u0946\u0902मनवलस  य", " ऎ\u0901णऩऴळशष"),
    ),
    "hu": (
        ("          öüó", "          ÖÜÓ"),
        ("qwertzuiopőú", "QWERTZUIOPŐÚ"),
        ("asdfghjkléáű", "ASDFGHJKLÉÁŰ"),
        ("íyxcvbnm", "ÍYXCVBNM"),
    ),
    "it": (
        ("            ì", ""),
        ("qwertyuiopè", "QWERTYUIOPé"),
        ("asdfghjklòàù", "ASDFGHJKLç"),
        (" zxcvbnm", " ZXCVBNM"),
    ),
    "jp(kana)": (
        (" ぬふあうえおやゆよわほへ", "   ぁぅぇぉゃゅょを"),
        ("たていすかんなにらせ", "  ぃ"),
        ("ちとしはきくまのりれけむ", ""),
        (" つさそひこみもねるめろ", " っ"),
    ),
    "ge": (
        ("", ""),
        ("ქწერტყუიოპ", " ჭ ღთ"),
        ("ასდფგჰჯკლ", " შ    ჟ"),
        (" ზხცვბნმ", " ძ ჩ"),
    ),
    "kz": (
        ("  әіңғ  үұқөһ", "  ӘІҢҒ  ҮҰҚӨҺ"),
        ("йцукенгшщзхъ", "ЙЦУКЕНГШЩЗХЪ"),
        ("фывапролджэ", "ФЫВАПРОЛДЖЭ"),
        (" ячсмитьбю", " ЯЧСМИТЬБЮ"),
    ),
    "lt": (
        (" ąčęėįšųū   ž", " ĄČĘĖĮŠŲŪ   Ž"),
        ("qwertyuiop", "QWERTYUIOP"),
        ("asdfghjkl", "ASDFGHJKL"),
        (" zxcvbnm", " ZXCVBNM"),
    ),
    "in(mal)": (
        ("\u0d4a           \u0d43", "ഒ          \u0d03ഋ"),
        ("\u0d4c\u0d48\u0d3e\u0d40\u0d42ബഹഗദജഡ", "ഔഐആഈഊഭങഘധഝഢഞ"),
        ("\u0d4b\u0d47\u0d4d\u0d3f\u0d41പരകതചട", "ഓഏഅഇഉഫറഖഥഛഠ"),
        (" \u0d46\u0d02മനവലസ  യ", " എ ണ ഴളശഷ"),
    ),
    "in(marathi)": (
        ("\u0962           \u0943", "ऌ \u0945ऽ    ॐ  \u0903ऋ"),
        ("\u094c\u0948\u093e\u0940\u0942बहगदजड\u093c", "औऐआईऊभङघधझढञ"),
        ("\u094b\u0947\u094d\u093f\u0941परकतचट\u0949", "ओएअइउफऱखथछठऑ"),
        ("  \u0902मनवलस  य", " ॲ\u0901ण ꣻळशष"),
    ),
    "mm": (
        ("", "ဎဍၒဋ   ရ"),
        ("ဆတနမအပကငသစဟဩ", "ဈဝဣ ဤ ဥ ဿဏဧဪ"),
        ("\u1031\u103b\u102d\u103a\u102b\u1037\u103c\u102f\u1030\u1038", "ဗ\u103e\u102e\u1039\u103d\u1036\u1032ဒဓဂ"),
        (" ဖထခလဘည\u102c", " ဇဌဃဠယဉဦ"),
    ),
    "in(guru)": (
        ("           \u0a03", "   \u0a71ੴ"),
        ("\u0a4c\u0a48\u0a3e\u0a40\u0a42ਬਹਗਦਜਡ\u0a3c", "ਔਐਆਈਊਭਙਘਧਝਢਞ"),
        ("\u0a4b\u0a47\u0a4d\u0a3f\u0a41ਪਰਕਤਚਟ", "ਓਏਅਇਉਫੜਖਥਛਠ"),
        ("  \u0a02ਮਨਵਲਸ  ਯ", " \u0a01\u0a70ਣਨਵ"),
    ),
    "pl": (
        ("", ""),
        ("qwertyuiop", "QWERTYUIOP"),
        ("asdfghjkl", "ASDFGHJKL"),
        (" zxcvbnm", " ZXCVBNM"),
    ),
    "pt": (
        ("", ""),
        ("qwertyuiop", "QWERTYUIOP"),
        ("asdfghjklç", "ASDFGHJKLÇ"),
        (" zxcvbnm", " ZXCVBNM"),
    ),
    "latam": (
        ("", ""),
        ("qwertyuiop", "QWERTYUIOP"),
        ("asdfghjklñ", "ASDFGHJKLÑ"),
        (" zxcvbnm", " ZXCVBNM"),
    ),
    "ro": (
        ("", ""),
        ("qwertyuiop", "QWERTYUIOP"),
        ("asdfghjkl", "ASDFGHJKL"),
        (" zxcvbnm", " ZXCVBNM"),
    ),
    "ru": (
        ("ё", "Ё"),
        ("йцукенгшщзхъ", "ЙЦУКЕНГШЩЗХЪ"),
        ("фывапролджэ", "ФЫВАПРОЛДЖЭ"),
        (" ячсмитьбю", " ЯЧСМИТЬБЮ"),
    ),
    "ke": (
        ("", ""),
        ("qwertyuiop", "QWERTYUIOP"),
        ("asdfghjkl", "ASDFGHJKL"),
        (" zxcvbnm", " ZXCVBNM"),
    ),
    "in(tam)": (
        ("\u0bca", "ஒ          ஃ"),
        ("\u0bcc\u0bc8\u0bbe\u0bc0\u0bc2 ஹ  ஜ ஞ", "ஔஐஆஈஊ ங"),
        ("\u0bcb\u0bc7\u0bcd\u0bbf\u0bc1பரகதசட", "ஓஏஅஇஉ ற"),
        (" \u0bc6\u0b82மநவலஸ  ய", " எ ணனழளஶஷ"),
    ),
    "in(tel)": (
        ("\u0c4a          \u0c03\u0c43", "ఒ           ఋ"),
        ("\u0c4c\u0c48\u0c3e\u0c40\u0c42బహగదజడఞ", "ఔఐఆఈఊభఙఘధఝఢ"),
        ("\u0c4b\u0c47\u0c4d\u0c3f\u0c41పరకతచట", "ఓఏఅఇఉఫఱఖథఛఠ"),
        (" \u0c46\u0c02మనవలస  య", " ఎ\u0c01ణ  ళశష"),
    ),
    "th": (
        (" ๅ  ภถ\u0e38\u0e36คตจขช", "      \u0e39"),
        ("ๆไ พะ\u0e31\u0e35รนยบล", "  ฎฑธ\u0e4d\u0e4aณฯญฐ"),
        ("ฟหกดเ\u0e49\u0e48าสวงฃ", "ฤฆฏโฌ\u0e47\u0e4bษศซ ฅ"),
        (" ผปแอ\u0e34\u0e37ทมใฝ", "   ฉฮ\u0e3a\u0e4c ฒฬฦ"),
    ),
    "ph": (
        ("", ""),
        ("qwertyuiop", "QWERTYUIOP"),
        ("asdfghjkl", "ASDFGHJKL"),
        (" zxcvbnm", " ZXCVBNM"),
    ),
    "tr": (
        ("", "é"),
        ("qwertyuıopğü", "QWERTYUIOPĞÜ"),
        ("asdfghjklşi", "ASDFGHJKLŞİ"),
        (" zxcvbnmöç", " ZXCVBNMÖÇ"),
    ),
    "ua": (
        ("", ""),
        ("йцукенгшщзхї", "ЙЦУКЕНГШЩЗХЇ"),
        ("фівапролджєґ", "ФІВАПРОЛДЖЄҐ"),
        (" ячсмитьбю", " ЯЧСМИТЬБЮ"),
    ),
    "pk": (
        ("\u064b", ""),
        (
            "\u0642\u0648\u0639\u0631\u062a\u06d2\u0621\u06cc\u06c1\u067e",
            "\u0652\u0624\u0670\u0691\u0679\u064e\u0626\u0650\u06c3\u064f",
        ),
        (
            "\u0627\u0633\u062f\u0641\u06af\u062d\u062c\u06a9\u0644",
            "\u0622\u0635\u0688\u0651\u063a\u06be\u0636\u062e\u0654",
        ),
        (" \u0632\u0634\u0686\u0637\u0628\u0646\u0645", " \u0630\u0698\u062b\u0638 \u06ba\u0658"),
    ),
    "sn": (
        ("  é    è çà", ""),
        ("azertyuiopŋ", "AZERTYUIOPŊ"),
        ("qsdfghjklmñ", "QSDFGHJKLMÑ"),
        (" wxcvbn", " WXCVBN"),
    ),
    "ng(yoruba)": (
        ("", ""),
        ("ẹwertyuiop", "ẸWERTYUIOP"),
        ("asdfghjkl", "ASDFGHJKL"),
        (" zọcṣbnm", " ZỌCṢBNM"),
    ),
    "kr": (
        ("", ""),
        ("ㅂㅈㄷㄱㅅㅛㅕㅑㅐㅔ", "ㅃㅉㄸㄲㅆ   ㅒㅖ"),
        ("ㅁㄴㅇㄹㅎㅗㅓㅏㅣ", ""),
        (" ㅋㅌㅊㅍㅠㅜㅡ", ""),
    ),
}

# Language -> layout. Chinese has none: its characters are typed by their sound.
LAYOUTS = {
    "af": "za",
    "ar": "ara",
    "az": "az",
    "bg": "bg",
    "bn": "in(ben)",
    "de": "de",
    "el": "gr",
    "en": "us",
    "es": "es",
    "et": "ee",
    "eu": "es",
    "fa": "ir",
    "fi": "fi",
    "fr": "fr",
    "gu": "in(guj)",
    "he": "il",
    "hi": "in(deva)",
    "ht": "fr",
    "hu": "hu",
    "id": "us",
    "it": "it",
    "ja": "jp(kana)",
    "jv": "us",
    "ka": "ge",
    "kk": "kz",
    "ko": "kr",
    "lt": "lt",
    "ml": "in(mal)",
    "mr": "in(marathi)",
    "ms": "us",
    "my": "mm",
    "nl": "us",
    "pa": "in(guru)",
    "pl": "pl",
    "pt": "pt",
    "qu": "latam",
    "ro": "ro",
    "ru": "ru",
    "sw": "ke",
    "ta": "in(tam)",
    "te": "in(tel)",
    "th": "th",
    "tl": "ph",
    "tr": "tr",
    "uk": "ua",
    "ur": "pk",
    "vi": "us",
    "wo": "sn",
    "yo": "ng(yoruba)",
}
