"""MASSIVE: what a command to a voice assistant wants, one of 60 intents, in 51 languages (FitzGerald et al. 2023)."""

from hf_stilts.task import Task

TASK = Task(
    kind="text-classification",
    dataset="mteb/amazon_massive_intent",
    config="{language}",
    configs={"zh": "zh-CN", "zh_Hant": "zh-TW"},
    revision="4672e20407010da34463acc759c162ca9734bca6",
    columns={"text": "text", "label": "label"},
    labels=(
        "alarm_query", "alarm_remove", "alarm_set", "audio_volume_down", "audio_volume_mute",
        "audio_volume_other", "audio_volume_up", "calendar_query", "calendar_remove", "calendar_set",
        "cooking_query", "cooking_recipe", "datetime_convert", "datetime_query", "email_addcontact",
        "email_query", "email_querycontact", "email_sendemail", "general_greet", "general_joke",
        "general_quirky", "iot_cleaning", "iot_coffee", "iot_hue_lightchange", "iot_hue_lightdim",
        "iot_hue_lightoff", "iot_hue_lighton", "iot_hue_lightup", "iot_wemo_off", "iot_wemo_on",
        "lists_createoradd", "lists_query", "lists_remove", "music_dislikeness", "music_likeness",
        "music_query", "music_settings", "news_query", "play_audiobook", "play_game", "play_music",
        "play_podcasts", "play_radio", "qa_currency", "qa_definition", "qa_factoid", "qa_maths", "qa_stock",
        "recommendation_events", "recommendation_locations", "recommendation_movies", "social_post",
        "social_query", "takeaway_order", "takeaway_query", "transport_query", "transport_taxi",
        "transport_ticket", "transport_traffic", "weather_query",
    ),
    languages=(
        "af", "am", "ar", "az", "bn", "cy", "da", "de", "el", "en", "es", "fa", "fi", "fr", "he", "hi", "hu",
        "hy", "id", "is", "it", "ja", "jv", "ka", "km", "kn", "ko", "lv", "ml", "mn", "ms", "my", "nb", "nl",
        "pl", "pt", "ro", "ru", "sl", "sq", "sv", "sw", "ta", "te", "th", "tl", "tr", "ur", "vi", "zh",
        "zh_Hant",
    ),
    license="cc-by-4.0",
    paper="2204.08582",
)  # fmt: skip
